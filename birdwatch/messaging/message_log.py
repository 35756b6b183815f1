"""The message log: published messages in a bounded SQLite file, for subscribers that were disconnected.

One station owns the file, by a lock. It is checked when it is opened; a damaged one is set aside, one that was removed
is begun again, and the status says so. Nothing here ends listening: what cannot be kept is counted, and why.
"""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from birdwatch.file_lock import FileLock
from birdwatch.messaging.message_pages import Entry, Page, read_page

__all__ = ["MessageLog"]

log = logging.getLogger(__name__)

# The file's format; another one is set aside like a damaged file.
FORMAT = 1

# When the file is full, this part of it is emptied at once, so that it is seldom done.
PRUNED_PART = 0.02

# One warning about the same thing in this time, and one attempt to open a file that could not be opened.
QUIET_S = 60.0

# What SQLite answers where the file is not what was written to it. (A full disk, an I/O error and such are not among
# these.) Our statements are constants, so that an error in one is an error in the file's tables.
DAMAGE = {
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_FORMAT,
}
# The module sqlite3 fails to decode SQLite's own message where that quotes damaged text.
FAULTS = (sqlite3.Error, OSError, UnicodeDecodeError)

# SQLite's virtual machine steps from one look at whether the station is stopping to the next: about a millisecond.
CHECK_STEPS = 10_000

_TABLES = """
CREATE TABLE boots (boot INTEGER PRIMARY KEY, boot_id TEXT NOT NULL UNIQUE);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY, boot INTEGER NOT NULL, seq INTEGER NOT NULL, topic TEXT NOT NULL, body BLOB NOT NULL
);
CREATE UNIQUE INDEX by_seq ON messages (boot, seq);
"""


class MessageLog:
    """The file at `path`, which `append` fills up to `max_bytes` (and a few MB of write-ahead log beside it).

    Never raises for disk errors: `dropped` counts messages that could not be stored, `fault` is the reason why the last
    attempt failed, or None; `replaced` is the reason for a new file, if one was begun. clock: monotonic seconds.
    """

    def __init__(self, path: Path, *, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self.written = 0
        self.dropped = 0
        self.fault: str | None = None
        self.replaced: str | None = None
        self._clock = clock
        self._boots: dict[str, int] = {}
        self._database: sqlite3.Connection | None = None
        self._lock: FileLock | None = None
        self._file: tuple[int, int] | None = None
        self._hurried = False
        self._next_attempt = clock()
        self._next_warning = clock()
        self._opened()

    def append(self, entries: Iterable[Entry]) -> None:
        """Keep these messages in one transaction; if the disk refuses, they are counted as dropped."""
        rows = list(entries)
        if not rows or (database := self._opened()) is None:
            self.dropped += len(rows)
            return
        try:
            with database:
                database.executemany(
                    "INSERT INTO messages (boot, seq, topic, body) VALUES (?, ?, ?, ?)",
                    [(self._boot(database, row.boot_id), row.seq, row.topic.decode(), row.body) for row in rows],
                )
                self._prune(database)
        except FAULTS as error:
            self.dropped += len(rows)
            self._failed(error)
        else:
            self.written += len(rows)
            self.fault = None

    def read(self, since: int, boot_id: str | None, *, limit: int = 500, prefix: str = "") -> Page:
        """What was sent after message `since` of boot `boot_id` (None: the newest), later boots included."""
        database = self._opened()
        if database is None:
            return Page((), boot_id, since, False, None)
        try:
            return read_page(database, since, boot_id, limit=limit, prefix=prefix)
        except FAULTS as error:
            self._failed(error)
            return Page((), boot_id, since, False, None)

    def hurry(self) -> None:
        """The station is stopping: leave the check of the file, should it be under way; from any thread."""
        self._hurried = True

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()
            self._database = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _opened(self) -> sqlite3.Connection | None:
        if self._database is not None and _identity(self.path) != self._file:
            self._begin_again("was removed")
            log.warning("the message log %s was removed; a new one is begun", self.path)
        # Twice: a damaged file is set aside, and the new one opened at once.
        for _ in range(2):
            if self._database is None and self._clock() >= self._next_attempt:
                self._next_attempt = self._clock() + QUIET_S
                try:
                    self._open()
                    self.fault = None
                except FAULTS as error:
                    self._failed(error)
        return self._database

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Of the file itself: under two names it is still one.
        own = Path(os.path.realpath(self.path))
        self._lock = FileLock(own.with_name(own.name + ".lock"))
        database = _connect(self.path, self._check)
        try:
            with database:
                self._prune(database)
            # Only after the bound was lowered is there much to give back to the disk. As a script: the pragma frees one
            # page a step, and `execute` takes a single step.
            database.executescript("PRAGMA incremental_vacuum")
        except BaseException:
            database.close()
            raise
        self._database, self._file = database, _identity(self.path)

    def _check(self, database: sqlite3.Connection) -> None:
        """Read the whole file once, to detect damage now and not at the first request."""
        database.set_progress_handler(lambda: self._hurried, CHECK_STEPS)
        try:
            found = [bytes(row[0]).decode(errors="replace") for row in database.execute("PRAGMA quick_check(1)")]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            return
        finally:
            database.set_progress_handler(None, 0)
        if found != ["ok"]:
            raise _DamagedError("; ".join(found))

    def _boot(self, database: sqlite3.Connection, boot_id: str) -> int:
        if boot_id not in self._boots:
            database.execute("INSERT OR IGNORE INTO boots (boot_id) VALUES (?)", (boot_id,))
            row = database.execute("SELECT boot FROM boots WHERE boot_id = ?", (boot_id,)).fetchone()
            self._boots[boot_id] = row[0]
        return self._boots[boot_id]

    def _prune(self, database: sqlite3.Connection) -> None:
        """Remove the oldest messages where the file has grown to its bound."""
        page_bytes = _pragma(database, "page_size")
        while (_pragma(database, "page_count") - _pragma(database, "freelist_count")) * page_bytes > self.max_bytes:
            low, high = database.execute("SELECT min(id), max(id) FROM messages").fetchone()
            if low is None:
                break
            database.execute("DELETE FROM messages WHERE id <= ?", (low + int((high - low) * PRUNED_PART),))
            database.execute("DELETE FROM boots WHERE boot NOT IN (SELECT DISTINCT boot FROM messages)")
            self._boots.clear()

    def _failed(self, error: Exception) -> None:
        self.fault = f"{self.path}: {error}"
        self._boots.clear()
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if isinstance(error, (_DamagedError, UnicodeDecodeError)) or code in DAMAGE:
            self._set_aside()
            return
        if self._database is None:
            self.close()
        if self._clock() >= self._next_warning:
            self._next_warning = self._clock() + QUIET_S
            log.warning(
                "the message log cannot be used (%s); publishing continues, and replay lacks messages", self.fault
            )

    def _set_aside(self) -> None:
        """Move a damaged file out of the way; one such file is kept, the newest."""
        aside = self.path.with_name(self.path.name + ".damaged")
        if self._database is not None:
            self._database.close()
            self._database = None
        try:
            self.path.replace(aside)
            for suffix in ("-wal", "-shm"):
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        except OSError as error:
            log.warning("the message log is damaged (%s) and cannot be set aside: %s", self.fault, error)
            self.close()
        else:
            log.warning("the message log was damaged (%s); it is now %s and a new one is begun", self.fault, aside)
            self._begin_again(f"was damaged ({self.fault}) and is now {aside}")

    def _begin_again(self, why: str) -> None:
        self.replaced = f"the message log {why}; a new one was begun"
        self.close()
        self._boots.clear()
        self._next_attempt = self._clock()


class _DamagedError(sqlite3.DatabaseError):
    """The file was damaged, or written by another version of birdwatch or another program."""


def _connect(path: Path, check: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    """The opened file, with its tables. Raises sqlite3.Error, OSError, _DamagedError for what is no message log."""
    if path.exists():
        if not path.is_file():
            # A pipe would be waited for, a device never ends.
            raise OSError(errno.EINVAL, "is no ordinary file", str(path))
        with path.open("rb") as stream:
            versions = stream.read(20)[18:]
        # The format's versions for writing and reading. SQLite takes a larger one for a file that it may only read.
        if versions not in (b"", b"\1\1", b"\2\2"):
            raise _DamagedError("its header is not one of SQLite")
    database = sqlite3.connect(path, timeout=1.0)
    try:
        # A flipped byte may make text invalid, so it is decoded with care.
        database.text_factory = bytes
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        # A power cut may cost the last moments but never the file, and not every message waits for the disk.
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA journal_size_limit = 4000000")
        found = _pragma(database, "user_version")
        if found == 0 and not _pragma(database, "schema_version"):
            database.executescript(f"BEGIN;{_TABLES} PRAGMA user_version = {FORMAT}; COMMIT;")
            return database
        if found != FORMAT:
            raise _DamagedError(f"its format is {found}, this birdwatch writes {FORMAT}")
        tables = sorted(bytes(row[0]) for row in database.execute("SELECT sql FROM sqlite_master WHERE sql NOT NULL"))
        if tables != sorted(text.strip().encode() for text in _TABLES.split(";") if text.strip()):
            raise _DamagedError("its tables are not those of a message log")
        check(database)
    except BaseException:
        database.close()
        raise
    return database


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _pragma(database: sqlite3.Connection, name: str) -> int:
    return int(database.execute(f"PRAGMA {name}").fetchone()[0])
