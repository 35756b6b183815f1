"""A configuration file as a table, whatever it holds: it is read again while a station listens."""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path
from typing import Any

from birdwatch.errors import ConfigError

__all__ = ["parsed"]

# Own rules for every class of the largest model are half of it.
MAX_BYTES = 1_000_000
MAX_SHOWN = 200


def parsed(path: Path) -> dict[str, Any]:
    """The table in a TOML file. Raises ConfigError."""
    try:
        # A pipe must not be waited for.
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise ConfigError(f"configuration {path} is no file, expected one of TOML")
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"configuration {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"configuration {str(path)!r} cannot be read: {error}") from None
    if len(content) > MAX_BYTES:
        raise ConfigError(f"configuration {path} is larger than {MAX_BYTES} bytes")
    try:
        return tomllib.loads(content.decode())
    except RecursionError:
        raise ConfigError(f"configuration {path} is not TOML that can be read: nested too deeply") from None
    except ValueError as error:
        raise ConfigError(f"configuration {path} is not TOML: {str(error)[:MAX_SHOWN]}") from None
