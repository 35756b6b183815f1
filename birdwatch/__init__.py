"""birdwatch: a daemon that hears birds, live or from files, through one pipeline.

Importing this package loads nothing heavy and changes nothing; the names below are loaded when first used.
"""

from birdwatch._version import __version__

__all__ = ["__version__"]
