"""A temporary database on the local disk for data that may exceed memory; it is deleted when it is closed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from birdwatch.errors import SinkError

__all__ = ["Connection", "of_text", "temporary_database", "text_again", "with_room"]

Connection = sqlite3.Connection
# Pages that stay in memory, in kB; others go to a file without a name in TMPDIR. A small run never makes one.
CACHE_KB = 32 << 10


def temporary_database() -> Connection:
    """An empty database, to be closed; statements are committed one by one unless a transaction is begun."""
    database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    database.execute(f"PRAGMA cache_size = -{CACHE_KB}")
    # It is not needed after a crash.
    database.execute("PRAGMA journal_mode = OFF")
    database.execute("PRAGMA synchronous = OFF")
    return database


@contextmanager
def with_room() -> Iterator[None]:
    """Raise SinkError where the disk has no room for what the block keeps in a temporary database."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise SinkError(
            f"the list of recordings cannot be kept on this machine's disk ({error}); name a folder with room in TMPDIR"
        ) from error


def of_text(text: str) -> bytes:
    """A text as a database keeps it: a file's name may hold what is no Unicode."""
    return text.encode("utf-8", "surrogatepass")


def text_again(data: bytes) -> str:
    """What `of_text` was given."""
    return data.decode("utf-8", "surrogatepass")
