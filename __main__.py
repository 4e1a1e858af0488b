"""``python -m edgekit`` is the command ``edgekit``."""

from .cli import main

main()
