"""The version, which packaging, messages and `--version` read."""

__version__ = "0.1.0"
