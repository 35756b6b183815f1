"""`python -m birdwatch` is `birdwatch`."""

from birdwatch.cli.main import main

main()
