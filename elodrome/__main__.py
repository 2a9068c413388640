"""``python -m elodrome``: the command, where it is not on the path."""

from elodrome.cli import main

main()
