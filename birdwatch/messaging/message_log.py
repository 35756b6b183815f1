"""What was published, kept in SQLite so that a subscriber that was away loses nothing. Bounded in size.

A damaged file is set aside and a new one begun. Nothing here ends listening: what cannot be kept is counted, and why.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from birdwatch.errors import SinkError

__all__ = ["Entry", "Journal", "Page", "read_journal"]

log = logging.getLogger(__name__)

# The file's format; another one is set aside like a damaged file.
FORMAT = 1

# When the file is full, this part of it is emptied at once, so that it is seldom done.
PRUNED_PART = 0.02

# A page is bounded, so that no reader holds the writer up for long: this many messages are looked at for one, and its
# bodies are no more than this together (or a single one that is larger).
PAGE_ROWS = 20_000
PAGE_BYTES = 4_000_000

# One warning about the same thing in this time, and one attempt to open a file that could not be opened.
QUIET_S = 60.0

_TABLES = """
CREATE TABLE boots (boot INTEGER PRIMARY KEY, boot_id TEXT NOT NULL UNIQUE);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY, boot INTEGER NOT NULL, seq INTEGER NOT NULL, topic TEXT NOT NULL, body BLOB NOT NULL
);
CREATE UNIQUE INDEX by_seq ON messages (boot, seq);
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One published message: its number, topic and body as they were sent."""

    boot_id: str
    seq: int
    topic: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """Some messages in the order in which they were sent.

    boot_id, seq: how far this page has come, the place to ask the next one from. more: whether there is a next one.
    missing: how many messages on the way the journal does not have; None where nobody can know, because it does not
    know the boot that was asked for.
    """

    entries: tuple[Entry, ...]
    boot_id: str | None
    seq: int
    more: bool
    missing: int | None


class Journal:
    """The file at `path`, which `append` fills up to `max_bytes` (and a few MB of write-ahead log beside it).

    Never raises for what a disk can do: `dropped` counts messages that could not be kept, `fault` says why the last
    attempt failed, or is None. clock: monotonic seconds.
    """

    def __init__(self, path: Path, *, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self.written = 0
        self.dropped = 0
        self.fault: str | None = None
        self._clock = clock
        self._boots: dict[str, int] = {}
        self._database: sqlite3.Connection | None = None
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
        except sqlite3.Error as error:
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
            return _read(database, since, boot_id, limit=limit, prefix=prefix)
        except sqlite3.Error as error:
            self._failed(error)
            return Page((), boot_id, since, False, None)

    def close(self) -> None:
        """Let the file go."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _opened(self) -> sqlite3.Connection | None:
        # Twice: a damaged file is set aside, and the new one opened at once.
        for _ in range(2):
            if self._database is None and self._clock() >= self._next_attempt:
                self._next_attempt = self._clock() + QUIET_S
                try:
                    self._database = _open(self.path)
                    with self._database:
                        self._prune(self._database)
                    # Only after the bound was lowered is there much to give back to the disk. As a script: the
                    # pragma frees one page a step, and `execute` takes a single step.
                    self._database.executescript("PRAGMA incremental_vacuum")
                    self.fault = None
                except (sqlite3.Error, OSError) as error:
                    self._failed(error)
        return self._database

    def _boot(self, database: sqlite3.Connection, boot_id: str) -> int:
        if boot_id not in self._boots:
            database.execute("INSERT OR IGNORE INTO boots (boot_id) VALUES (?)", (boot_id,))
            row = database.execute("SELECT boot FROM boots WHERE boot_id = ?", (boot_id,)).fetchone()
            self._boots[boot_id] = row[0]
        return self._boots[boot_id]

    def _prune(self, database: sqlite3.Connection) -> None:
        """Forget the oldest messages where the file has grown to its bound."""
        page_bytes = _pragma(database, "page_size")
        while (_pragma(database, "page_count") - _pragma(database, "freelist_count")) * page_bytes > self.max_bytes:
            low, high = database.execute("SELECT min(id), max(id) FROM messages").fetchone()
            if low is None:
                break
            database.execute("DELETE FROM messages WHERE id <= ?", (low + int((high - low) * PRUNED_PART),))
            database.execute("DELETE FROM boots WHERE boot NOT IN (SELECT DISTINCT boot FROM messages)")
            self._boots.clear()

    def _failed(self, error: sqlite3.Error | OSError) -> None:
        self.fault = f"{self.path}: {error}"
        self._boots.clear()
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if isinstance(error, _OtherFormatError) or code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            self.close()
            self._set_aside()
        elif self._clock() >= self._next_warning:
            self._next_warning = self._clock() + QUIET_S
            log.warning("the journal cannot be used (%s); publishing goes on, replay has holes", self.fault)

    def _set_aside(self) -> None:
        """Move a damaged file out of the way; one such file is kept, the newest."""
        aside = self.path.with_name(self.path.name + ".damaged")
        try:
            self.path.replace(aside)
            for suffix in ("-wal", "-shm"):
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        except OSError as error:
            log.warning("the journal is damaged (%s) and cannot be set aside: %s", self.fault, error)
        else:
            self._next_attempt = self._clock()
            log.warning("the journal was damaged (%s); it is now %s and a new one begins", self.fault, aside)


class _OtherFormatError(sqlite3.DatabaseError):
    """The file was written by another version of birdwatch, or by another program."""


def read_journal(path: Path, since: int, boot_id: str | None, *, limit: int = 500, prefix: str = "") -> Page:
    """A page of the journal file of a station, running or not. Raises SinkError."""
    try:
        # Not mode=ro: a reader of a write-ahead log needs to make its index. Nothing is ever written.
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=5)) as database:
            database.execute("PRAGMA query_only = 1")
            return _read(database, since, boot_id, limit=limit, prefix=prefix)
    except sqlite3.Error as error:
        raise SinkError(
            f"journal {path} cannot be read: {error}; name the file of a station with --journal, or ask a running "
            "one with --endpoint"
        ) from error


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path, timeout=1.0)
    try:
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        # A power cut may cost the last moments but never the file, and not every message waits for the disk.
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA journal_size_limit = 4000000")
        found = _pragma(database, "user_version")
        if found == 0 and not _pragma(database, "schema_version"):
            database.executescript(f"BEGIN;{_TABLES} PRAGMA user_version = {FORMAT}; COMMIT;")
        elif found != FORMAT:
            raise _OtherFormatError(f"its format is {found}, this birdwatch writes {FORMAT}")
        database.execute("SELECT max(id) FROM messages").fetchone()
    except BaseException:
        database.close()
        raise
    return database


def _pragma(database: sqlite3.Connection, name: str) -> int:
    return int(database.execute(f"PRAGMA {name}").fetchone()[0])


def _read(database: sqlite3.Connection, since: int, boot_id: str | None, *, limit: int, prefix: str) -> Page:
    names = dict(database.execute("SELECT boot, boot_id FROM boots"))
    if boot_id is None:
        boot = max(names, default=0)
    else:
        boot = next((number for number, name in names.items() if name == boot_id), 0)
    missing: int | None = 0
    if not boot:
        missing, since = (None if boot_id is not None else 0), 0
    rows = database.execute(
        "SELECT boot, seq, topic, CASE WHEN substr(topic, 1, ?) = ? THEN body END FROM messages "
        "WHERE (boot, seq) > (?, ?) ORDER BY boot, seq LIMIT ?",
        (len(prefix), prefix, boot, since, PAGE_ROWS),
    )
    entries: list[Entry] = []
    looked_at = size = 0
    for row_boot, seq, topic, body in rows:
        if body is not None and entries and (len(entries) >= limit or size + len(body) > PAGE_BYTES):
            looked_at = PAGE_ROWS
            break
        looked_at += 1
        if row_boot != boot:
            boot, since = row_boot, 0
        if missing is not None:
            missing += seq - since - 1
        since = seq
        if body is not None:
            size += len(body)
            entries.append(Entry(names[boot], seq, topic.encode(), body))
    return Page(tuple(entries), names.get(boot, boot_id), since, looked_at == PAGE_ROWS, missing)
