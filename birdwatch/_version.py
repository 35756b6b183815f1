"""The version, in one place: packaging, messages and `--version` read it here."""

__version__ = "0.1.0"
