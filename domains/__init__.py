"""The applied solutions, one package each, all with the same file names."""
