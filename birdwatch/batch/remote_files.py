"""Writes files to object stores through fsspec; objects are created atomically.

An object is made from a file on this machine's disk. It may be made only where none has its name, which is how the
first of several writers wins. Credentials come from the storage library's own configuration, as for reading.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO

from birdwatch.batch.locations import BLOCK_BYTES, check_url, filesystem, tried_twice
from birdwatch.errors import SinkError

__all__ = ["check_store", "check_target", "create", "delete", "download", "exists", "files_under", "upload"]

# Beside what is written: made and deleted, to see that it can be.
TRIAL = ".trial"
# In a store: stays there, and cannot be created twice.
ONCE = "created-once"


def check_target(url: str, *, what: str) -> None:
    """Raise SinkError or ConfigError if nothing can be written at `url`, by a test before a night's work.

    what: the option, in messages.
    """
    _check_key(url, what=what)
    trial = url.rstrip("/") + TRIAL
    system, path = filesystem(trial)
    try:
        create(trial)
        tried_twice(lambda: system.rm_file(path))
    except OSError as error:
        raise SinkError(f"{url} cannot be written ({error.strerror}); name another place with {what}") from None


def check_store(url: str) -> None:
    """Raise SinkError or ConfigError where `url` cannot be the store of a shared run.

    That is where it cannot be written, or where a server makes an object again that is there: no writer would be the
    first one.
    """
    _check_key(url, what="--store")
    system, path = filesystem(f"{url.rstrip('/')}/{ONCE}")
    made = 0
    try:
        for _ in range(2):
            try:
                tried_twice(lambda: system.pipe_file(path, b"birdwatch\n", mode="create"))
                made += 1
            except FileExistsError:
                continue
    except OSError as error:
        raise SinkError(f"the store {url} cannot be written ({error.strerror}); name another with --store") from None
    if made == 2:
        raise SinkError(
            f"the store {url} writes over what is there even where it is asked not to (If-None-Match); name another "
            "with --store, or a folder"
        )


def _check_key(url: str, *, what: str) -> None:
    check_url(url)
    scheme, _, key = url.rstrip("/").partition("://")
    if "/" not in key and scheme != "memory":
        raise SinkError(f"{url} names a bucket, and {what} needs a name in it, such as {url.rstrip('/')}/run1")


def exists(url: str) -> bool:
    """Whether an object is there. Raises OSError, as `tried_twice` does, where that cannot be told."""
    system, path = filesystem(url)

    def asked() -> bool:
        # Otherwise a cached answer is returned.
        system.invalidate_cache()
        return bool(system.info(path)["type"] == "file")

    try:
        return tried_twice(asked)
    except FileNotFoundError:
        return False


def upload(source: Path, url: str, *, once: bool = False) -> bool:
    """Make the object `url` of a file; once: only where there is none, else False. Raises OSError as `tried_twice`."""
    system, path = filesystem(url)
    try:
        tried_twice(lambda: system.put_file(str(source), path, mode="create" if once else "overwrite"))
    except FileExistsError:
        return False
    except OSError:
        # Two at the same moment: some servers refuse both for now, and one of them has it then.
        if once and exists(url):
            return False
        raise
    return True


def create(url: str) -> None:
    """Make the empty object `url`. Raises OSError as `tried_twice`."""
    system, path = filesystem(url)
    tried_twice(lambda: system.pipe_file(path, b""))


def download(url: str, stream: IO[bytes]) -> None:
    """Write an object to a stream, from its start. Raises OSError as `tried_twice`."""
    system, path = filesystem(url)

    def fetched() -> None:
        stream.seek(0)
        stream.truncate()
        system.invalidate_cache()
        with system.open(path, "rb", block_size=BLOCK_BYTES, cache_type="none") as there:
            while block := there.read(BLOCK_BYTES):
                stream.write(block)

    tried_twice(fetched)


def delete(url: str) -> None:
    """Delete an object, if it is there. Raises OSError as `tried_twice`."""
    if exists(url):
        system, path = filesystem(url)
        tried_twice(lambda: system.rm_file(path))


def files_under(folder: str) -> Iterator[str]:
    """The objects under a folder, by their keys relative to it, in order. Raises OSError as `tried_twice`."""
    system, path = filesystem(folder)
    root = path.rstrip("/") + "/"

    def listed() -> list[str]:
        system.invalidate_cache()
        return [str(name) for name in system.find(root)]

    try:
        found = tried_twice(listed)
    except FileNotFoundError:
        return
    # The marker object of the folder itself is not in it.
    yield from sorted(name.removeprefix(root) for name in found if name.startswith(root) and not name.endswith("/"))
