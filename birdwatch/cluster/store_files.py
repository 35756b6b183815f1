"""The files of a store, in a folder that all machines reach or in an object store: whole or not there.

A file is written under a temporary name first, in the folder or on this machine's own disk. Both kinds raise OSError,
whose `strerror` is one line.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, cast

from birdwatch.batch.remote_files import check_store, download, exists, upload
from birdwatch.paths import is_url

__all__ = ["RemoteFolder", "StoreFiles", "StorePlace", "checked_place", "files_of", "place_of", "written"]

# Questions to an object store are waited for, not worked on.
ASKED_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class RemoteFolder:
    """A folder of an object store."""

    url: str

    def __truediv__(self, name: str) -> RemoteFolder:
        return RemoteFolder(f"{self.url.rstrip('/')}/{name}")

    def __str__(self) -> str:
        return self.url


StorePlace = Path | RemoteFolder


class StoreFiles(Protocol):
    """Files by their names in a store, such as `units/ab/abcd`."""

    def has(self, names: Iterable[str]) -> list[bool]:
        """Whether each is there."""

    def open(self, name: str) -> IO[bytes]:
        """A file's bytes, from its start; seeking is allowed. Raises FileNotFoundError."""

    def temporary(self, name: str) -> Path:
        """Where a file called `name` is to be written first, apart from all others; the caller removes it."""

    def publish(self, temporary: Path, name: str, *, once: bool) -> bool:
        """Give a written file its name; once: only where none has it, else False."""


def place_of(text: str) -> StorePlace:
    """A folder here, as an absolute path, or an object store's."""
    return RemoteFolder(text.rstrip("/")) if is_url(text) else Path(text).absolute()


def checked_place(store: Path | str) -> StorePlace:
    """The place of a store that is to be written. Raises SinkError or ConfigError for a bucket that cannot be one."""
    place = place_of(str(store))
    if isinstance(place, RemoteFolder):
        check_store(place.url)
    return place


def files_of(place: StorePlace) -> StoreFiles:
    """The files in a place."""
    return _Remote(place.url) if isinstance(place, RemoteFolder) else _Local(place)


@contextmanager
def written(files: StoreFiles, name: str) -> Iterator[IO[bytes]]:
    """A file that is there, in the place of an older one, when the block ends without an error."""
    temporary = files.temporary(name)
    try:
        with temporary.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        files.publish(temporary, name, once=False)
    finally:
        temporary.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Local:
    folder: Path

    def has(self, names: Iterable[str]) -> list[bool]:
        return [(self.folder / name).exists() for name in names]

    def open(self, name: str) -> IO[bytes]:
        return (self.folder / name).open("rb")

    def temporary(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.with_name(_apart(path.name))

    def publish(self, temporary: Path, name: str, *, once: bool) -> bool:
        if not once:
            temporary.replace(self.folder / name)
            return True
        try:
            os.link(temporary, self.folder / name)
        except FileExistsError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class _Remote:
    url: str

    def has(self, names: Iterable[str]) -> list[bool]:
        urls = [self._at(name) for name in names]
        if len(urls) < 2:
            return [exists(url) for url in urls]
        with ThreadPoolExecutor(min(ASKED_AT_ONCE, len(urls)), thread_name_prefix="ask") as pool:
            return list(pool.map(exists, urls))

    def open(self, name: str) -> IO[bytes]:
        stream = cast(IO[bytes], tempfile.TemporaryFile(prefix="birdwatch-"))  # noqa: SIM115 - the caller closes it
        try:
            download(self._at(name), stream)
            stream.seek(0)
        except BaseException:
            stream.close()
            raise
        return stream

    def temporary(self, name: str) -> Path:
        return Path(tempfile.gettempdir()) / f"birdwatch-{_apart(name.rpartition('/')[2])}"

    def publish(self, temporary: Path, name: str, *, once: bool) -> bool:
        return upload(temporary, self._at(name), once=once)

    def _at(self, name: str) -> str:
        return f"{self.url}/{name}"


def _apart(name: str) -> str:
    """A name that no other process writes."""
    return f".{name}.{os.getpid()}.{secrets.token_hex(4)}"
