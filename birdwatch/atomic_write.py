"""Atomic writes: a file is written under a temporary name, then renamed. Inputs are never replaced."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import IO

from birdwatch.errors import SinkError, reason_of
from birdwatch.paths import file_name

__all__ = ["Identities", "check_folder", "check_writable", "folder_beside", "identities", "written_beside"]

# Device and inode of a file -> the name under which it is read.
Identities = Mapping[tuple[int, int], Path]


def identities(
    paths: Iterable[Path | None], *, among: Container[tuple[int, int]] | None = None
) -> dict[tuple[int, int], Path]:
    """Device and inode of these paths, links followed; None and missing files are left out. among: only these."""
    found: dict[tuple[int, int], Path] = {}
    for path in paths:
        with suppress(OSError, ValueError):
            if path is not None:
                status = path.stat()
                identity = status.st_dev, status.st_ino
                if among is None or identity in among:
                    found[identity] = path
    return found


def check_folder(path: Path) -> None:
    """Raise SinkError where no files can be written into the folder `path`, or it cannot be made."""
    try:
        place = next(place for place in (path, *path.absolute().parents) if place.exists() or place.is_symlink())
        if not place.is_dir():
            raise SinkError(f"{place} is a file, and a folder is needed there; name another folder", path=path)
    except (OSError, RuntimeError, ValueError) as error:
        raise SinkError(
            f"the folder {path} cannot be used ({reason_of(error)}); name another one", path=path
        ) from error
    if not os.access(place, os.W_OK | os.X_OK):
        raise SinkError(f"the folder {place} cannot be written to; choose another place", path=path)


def check_writable(path: Path, *, inputs: Identities = MappingProxyType({})) -> None:
    """Raise SinkError if `path` cannot or must not be written, before hours of work are lost.

    inputs: files that are read; `path` may be none of them, nor a link to one. Nor may it be a device, a pipe or a
    socket.
    """
    try:
        target = path.resolve(strict=False)
        status = target.stat() if target.exists() else None
    except (OSError, RuntimeError, ValueError) as error:
        raise SinkError(f"{path} cannot be written ({reason_of(error)}); name another file", path=path) from error
    if status is not None and stat.S_ISDIR(status.st_mode):
        raise SinkError(f"{path} is a folder; name a file to write", path=path)
    if status is not None and not stat.S_ISREG(status.st_mode):
        raise SinkError(f"{path} is a device, pipe or socket; name a file to write", path=path)
    same = None if status is None else inputs.get((status.st_dev, status.st_ino))
    if same is not None:
        raise SinkError(f"{path} is an input of this command ({same}); name another file to write", path=path)
    if target.parent.exists() and not target.parent.is_dir():
        raise SinkError(f"{path.parent} is a file, and the folder of {path.name} is needed there", path=path)
    if not target.parent.is_dir():
        raise SinkError(f"the folder {path.parent} of {path.name} does not exist; make it first", path=path)
    if not os.access(target.parent, os.W_OK):
        raise SinkError(
            f"the folder {path.parent} cannot be written to; choose another place for {path.name}", path=path
        )


@contextmanager
def written_beside(
    path: Path, *, binary: bool = False, ready: Callable[[Path], None] | None = None
) -> Iterator[IO[str] | IO[bytes]]:
    """A file that replaces `path` when the block ends without an error; otherwise the old file stays untouched.

    Of a link, the file that it leads to is replaced. Text is UTF-8 with line ends as written. ready: is called with the
    file that is written, before it takes its place. Raises SinkError where the disk or the folder refuses.
    """
    check_writable(path)
    target = path.resolve()
    # Always the same name, so that files of killed runs do not accumulate.
    temporary = target.with_name(file_name(f".{target.name}", ".part"))
    try:
        stream: IO[str] | IO[bytes] = (
            temporary.open("wb") if binary else temporary.open("w", encoding="utf-8", newline="")
        )
        with stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        if ready is not None:
            ready(temporary)
        temporary.replace(target)
    except OSError as error:
        raise SinkError(
            f"{path} could not be written: {error.strerror or error}; nothing there was changed", path=path
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """An empty folder that replaces `path` when the block ends without an error; otherwise the old one stays.

    A folder takes the place of another in two renames: a kill between them leaves the old one as `.<name>.old`, which
    the next call puts back. Raises SinkError where the disk or the folder refuses.
    """
    target = path.resolve()
    temporary, old = (target.with_name(file_name(f".{target.name}", end)) for end in (".part", ".old"))
    try:
        _put_back(old, target)
        for left in (temporary, old):
            if left.exists():
                shutil.rmtree(left)
        temporary.mkdir()
        yield temporary
        if target.exists():
            target.rename(old)
        temporary.rename(target)
    except OSError as error:
        raise SinkError(
            f"{path} could not be written: {error.strerror or error}; nothing there was changed", path=path
        ) from error
    finally:
        _put_back(old, target)
        for left in (temporary, old):
            shutil.rmtree(left, ignore_errors=True)


def _put_back(old: Path, target: Path) -> None:
    if old.exists() and not target.exists():
        old.rename(target)
