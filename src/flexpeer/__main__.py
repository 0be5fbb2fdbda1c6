"""`python -m flexpeer`."""

from flexpeer.cli import main

main()
