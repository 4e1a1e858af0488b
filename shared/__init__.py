"""What more than one domain needs. It knows no domain."""
