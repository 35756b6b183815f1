"""Entries of a message log, and the numbers of those that a page holds."""

from __future__ import annotations

from birdwatch.messaging.message_log import MessageLog
from birdwatch.messaging.message_pages import Entry

MB = 1_000_000


def entry(seq: int, boot: str = "b0", *, kind: str = "event", size: int = 10) -> Entry:
    return Entry(boot, seq, f"birdwatch/1/{kind}/garden/-/".encode(), b"x" * size)


def seqs(journal: MessageLog, since: int, boot: str | None = None, **more: object) -> list[tuple[str, int]]:
    page = journal.read(since, boot, **more)  # type: ignore[arg-type]
    return [(e.boot_id, e.seq) for e in page.entries]
