"""Atomic writes: a file is written under a temporary name beside its place, then renamed. No input is replaced."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from birdwatch.errors import SinkError

__all__ = ["check_writable", "written_beside"]


def check_writable(path: Path, *, inputs: Iterable[Path | None] = ()) -> None:
    """Raise SinkError where `path` cannot or must not be written, before hours of work are lost.

    inputs: files that are read (None: not given); `path` may be none of them, nor a link to one. Nor may it be a
    device, a pipe or a socket.
    """
    try:
        target = path.resolve(strict=False)
        kind = target.stat().st_mode if target.exists() else None
    except (OSError, RuntimeError, ValueError) as error:
        raise SinkError(f"{path} cannot be written ({_reason(error)}); name another file", path=path) from error
    if kind is not None and stat.S_ISDIR(kind):
        raise SinkError(f"{path} is a folder; name a file to write", path=path)
    if kind is not None and not stat.S_ISREG(kind):
        raise SinkError(f"{path} is a device, pipe or socket; name a file to write", path=path)
    for item in inputs:
        if item is not None and kind is not None and _same(item, target):
            raise SinkError(f"{path} is an input of this command ({item}); name another file to write", path=path)
    if not target.parent.is_dir():
        raise SinkError(f"the folder {path.parent} of {path.name} does not exist; make it first", path=path)
    if not os.access(target.parent, os.W_OK):
        raise SinkError(
            f"the folder {path.parent} cannot be written to; choose another place for {path.name}", path=path
        )


def _same(item: Path, target: Path) -> bool:
    try:
        return item.samefile(target)
    except (OSError, ValueError):
        return False


def _reason(error: BaseException) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


@contextmanager
def written_beside(path: Path, *, binary: bool = False) -> Iterator[IO[str] | IO[bytes]]:
    """A file that replaces `path` when the block ends without an error; otherwise the old file stays untouched.

    Of a link, the file that it leads to is replaced. Text is UTF-8 with line ends as written. Raises SinkError where
    the disk or the folder refuses.
    """
    check_writable(path)
    target = path.resolve()
    # Always the same name, so that leftovers of killed runs do not accumulate.
    temporary = target.with_name(f".{target.name}.part")
    try:
        stream: IO[str] | IO[bytes] = (
            temporary.open("wb") if binary else temporary.open("w", encoding="utf-8", newline="")
        )
        with stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(target)
    except OSError as error:
        raise SinkError(
            f"{path} could not be written: {error.strerror or error}; nothing there was changed", path=path
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
