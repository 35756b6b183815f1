"""`python -m birdwatch` is `birdwatch`."""

from birdwatch.cli import main

main()
