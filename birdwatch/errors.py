"""The errors that birdwatch raises, as one tree.

    BirdwatchError
    ├── ConfigError        a setting is unknown, missing or out of range
    │   └── UsageError     ... as an option of the command line
    ├── ModelError         a model file is missing, damaged or does not fit its manifest
    ├── SourceError        audio could not be read
    │   ├── DecodeError    ... from a file
    │   ├── DeviceError    ... from a sound device
    │   └── StreamError    ... from a network stream
    ├── InferenceError     the network could not be run
    └── SinkError          a result could not be written or published

Every message says what went wrong, with which value, what was expected and what to do next. Only the command
line turns these into exit codes; nothing below it catches them to carry on silently.
"""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "BirdwatchError",
    "ConfigError",
    "DecodeError",
    "DeviceError",
    "InferenceError",
    "ModelError",
    "SinkError",
    "SourceError",
    "StreamError",
    "UsageError",
    "reason_of",
]


class BirdwatchError(Exception):
    """The base class of birdwatch's errors, with a message for the user.

    path: the file or folder that it is about, where there is one. setting: the name of the setting, likewise.
    """

    def __init__(self, message: str, *, path: Path | None = None, setting: str | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.setting = setting


class ConfigError(BirdwatchError):
    """A setting is unknown, missing or out of range."""


class UsageError(ConfigError):
    """All that is wrong came from options of the command line."""


class ModelError(BirdwatchError):
    """A model file is missing, damaged, or does not fit its own manifest."""


class SourceError(BirdwatchError):
    """Audio could not be read."""


class DecodeError(SourceError):
    """A file could not be read as audio, or not to its end."""


class DeviceError(SourceError):
    """A sound device is missing, refused to open, or stopped."""


class StreamError(SourceError):
    """A network stream could not be opened, or ended. Its message never contains a URL's credentials."""


class InferenceError(BirdwatchError):
    """The network could not be run on the chosen provider."""


class SinkError(BirdwatchError):
    """A result could not be written or published."""


def reason_of(error: BaseException) -> str:
    """Why a call failed, without the number and the path that the text of an OSError repeats."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
