"""Atomic writes: a file is written under a temporary name beside its place, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from birdwatch.errors import SinkError

__all__ = ["check_writable", "written_beside"]


def check_writable(path: Path) -> None:
    """Raise SinkError where `path` cannot be written, before hours of work are lost."""
    if path.is_dir():
        raise SinkError(f"{path} is a folder; name a file to write")
    if not path.parent.is_dir():
        raise SinkError(f"the folder {path.parent} of {path.name} does not exist; make it first")
    if not os.access(path.parent, os.W_OK):
        raise SinkError(f"the folder {path.parent} cannot be written to; choose another place for {path.name}")


@contextmanager
def written_beside(path: Path, *, binary: bool = False) -> Iterator[IO[str] | IO[bytes]]:
    """A file that replaces `path` when the block ends without an error; otherwise the old file stays untouched.

    Text is UTF-8 with line ends as written. Raises SinkError where the disk or the folder refuses.
    """
    check_writable(path)
    # Always the same name, so that leftovers of killed runs do not accumulate.
    temporary = path.with_name(f".{path.name}.part")
    try:
        stream: IO[str] | IO[bytes] = (
            temporary.open("wb") if binary else temporary.open("w", encoding="utf-8", newline="")
        )
        with stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise SinkError(f"{path} could not be written: {error.strerror or error}; nothing there was changed") from error
    finally:
        temporary.unlink(missing_ok=True)
