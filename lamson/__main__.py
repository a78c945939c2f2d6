"""`python -m lamson` is the command `lamson`."""

from lamson.cli import main

main()
