"""Reads a configuration file robustly, since it is read again while a station listens."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from birdwatch.errors import ConfigError
from birdwatch.whole_file import read_whole

__all__ = ["parsed"]

# Own rules for every class of the largest model are half of it.
MAX_BYTES = 1_000_000
MAX_SHOWN = 200


def parsed(path: Path) -> dict[str, Any]:
    """The table in a TOML file. Raises ConfigError."""
    try:
        content = read_whole(path, limit=MAX_BYTES)
    except OSError as error:
        raise ConfigError(f"configuration {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"configuration {str(path)!r} cannot be read: {error}") from None
    try:
        return tomllib.loads(content.decode())
    except RecursionError:
        raise ConfigError(f"configuration {path} is not TOML that can be read: nested too deeply") from None
    except ValueError as error:
        raise ConfigError(f"configuration {path} is not TOML: {str(error)[:MAX_SHOWN]}") from None
