"""A station's daemon on this machine: its configuration file, found by its process, and the signal to read it again.

What a station sends names only the process. The file is what that process, a `birdwatch listen` of this user, was
started with; so a station that sends another process's number reaches nothing.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from birdwatch.config.loading import Configuration
from birdwatch.errors import ConfigError

__all__ = ["Listener", "find_listener"]

PROC = Path("/proc")


class Listener:
    """The `birdwatch listen` with this process id. file: its configuration."""

    def __init__(self, process: int, file: Path, environ: dict[str, str]) -> None:
        self.process, self.file, self._environ = process, file, environ

    def configuration(self, file: Path) -> Configuration:
        """What it would read if `file` were its file."""
        return Configuration(file, environ=self._environ)

    def reload(self) -> None:
        """Tell it to read its configuration. Raises ConfigError where it is gone."""
        try:
            os.kill(self.process, signal.SIGHUP)
        except OSError as error:
            raise ConfigError(f"the station's process {self.process} cannot be signalled: {error.strerror}") from error


def find_listener(process: int) -> Listener:
    """The listener with this process id. Raises ConfigError with why there is none that could be changed from here."""
    folder = PROC / str(process)
    try:
        owner = folder.stat().st_uid
        words = [os.fsdecode(word) for word in (folder / "cmdline").read_bytes().split(b"\0")]
        if owner != os.geteuid():
            raise PermissionError
        environ = dict(
            os.fsdecode(pair).split("=", 1) for pair in (folder / "environ").read_bytes().split(b"\0") if b"=" in pair
        )
        here = (folder / "cwd").readlink()
    except (OSError, AttributeError):
        raise ConfigError(
            "the station does not run on this machine under the hub's user; change the thresholds in its own "
            "configuration, and reload it"
        ) from None
    if "listen" not in words or not any(Path(word).name.startswith("birdwatch") for word in words):
        raise ConfigError(f"process {process} is no `birdwatch listen`; the station runs on another machine")
    named = _option(words[words.index("listen") :]) or environ.get("BIRDWATCH_CONFIG")
    if not named:
        raise ConfigError("the station runs without a configuration file; start it with --config FILE")
    return Listener(process, here / Path(named).expanduser(), environ)


def _option(words: list[str]) -> str | None:
    for at, word in enumerate(words):
        name, mark, value = word.partition("=")
        if name == "--config":
            return value if mark else next(iter(words[at + 1 : at + 2]), None)
    return None
