"""Reads pages of consecutive messages from a message log, for replay."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from birdwatch.errors import SinkError

__all__ = ["Entry", "Page", "read_log", "read_page"]

# A page is bounded, so that no reader holds the writer up for long, nor much memory: this many messages are looked at
# for one, and its bodies are no more than this together (or a single one that is larger).
PAGE_ROWS = 20_000
PAGE_BYTES = 1_000_000


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
    missing: how many messages on the way the log does not have; None where that cannot be known, because it does not
    know the boot that was asked for.
    """

    entries: tuple[Entry, ...]
    boot_id: str | None
    seq: int
    more: bool
    missing: int | None


def read_log(path: Path, since: int, boot_id: str | None, *, limit: int = 500, prefix: str = "") -> Page:
    """A page of the message log of a station, running or not. Raises SinkError."""
    try:
        # Not mode=ro: a reader of a write-ahead log needs to make its index. Nothing is ever written.
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=5)) as database:
            database.text_factory = bytes
            database.execute("PRAGMA query_only = 1")
            return read_page(database, since, boot_id, limit=limit, prefix=prefix)
    except sqlite3.Error as error:
        raise SinkError(
            f"message log {path} cannot be read: {error}; name the file of a station with --journal, or ask a running "
            "one with --endpoint"
        ) from error


def read_page(database: sqlite3.Connection, since: int, boot_id: str | None, *, limit: int, prefix: str) -> Page:
    """What was sent after message `since` of boot `boot_id` (None: the newest). `text_factory` has to be bytes.

    Raises sqlite3.Error.
    """
    names = {
        boot: bytes(name).decode(errors="replace")
        for boot, name in database.execute("SELECT boot, boot_id FROM boots WHERE typeof(boot_id) = 'text'")
    }
    if boot_id is None:
        boot = max(names, default=0)
    else:
        boot = next((number for number, name in names.items() if name == boot_id), 0)
    missing: int | None = 0
    if not boot:
        missing, since = (None if boot_id is not None else 0), 0
    wanted = prefix.encode()
    rows = database.execute(
        "SELECT boot, seq, topic, CASE WHEN substr(topic, 1, ?) = ? THEN body END FROM messages "
        # Of another type is only what was damaged: it counts as missing.
        "WHERE (boot, seq) > (?, ?) AND typeof(boot) = 'integer' AND typeof(seq) = 'integer' "
        "AND typeof(topic) = 'text' AND typeof(body) = 'blob' ORDER BY boot, seq LIMIT ?",
        (len(prefix), prefix, boot, since, PAGE_ROWS),
    )
    entries: list[Entry] = []
    looked_at = size = 0
    for row_boot, seq, topic, body in rows:
        if row_boot not in names:
            continue
        wants = body is not None and topic.startswith(wanted)
        if wants and entries and (len(entries) >= limit or size + len(body) > PAGE_BYTES):
            looked_at = PAGE_ROWS
            break
        looked_at += 1
        if row_boot != boot:
            boot, since = row_boot, 0
        if missing is not None:
            missing += seq - since - 1
        since = seq
        if wants:
            size += len(body)
            entries.append(Entry(names[boot], seq, topic, body))
    return Page(tuple(entries), names.get(boot, boot_id), since, looked_at == PAGE_ROWS, missing)
