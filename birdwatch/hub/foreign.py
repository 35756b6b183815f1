"""Reads detections from other projects' databases: BirdNET-Pi (`birds.db`) and BirdNET-Go (`birdnet.db`)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

from birdwatch.errors import SourceError

__all__ = ["Foreign", "read_foreign"]

# Both score 3 s at a time; BirdNET-Pi does not say where in its file.
WINDOW_MS = 3000


@dataclass(frozen=True, slots=True)
class Foreign:
    """One detection. uid: the same at each reading. code: where the source knows one. verdict: right, wrong or None."""

    uid: str
    code: str
    name: str
    scientific: str
    start_ms: int
    end_ms: int
    score: float
    verdict: str | None = None


def read_foreign(path: Path, where: tzinfo) -> Iterator[Foreign | str]:
    """Every detection of the database, or a line about a row that is none. where: the zone of its local times.

    Raises SourceError where the file is no database of these projects.
    """
    if not path.is_file():
        raise SourceError(
            f"{path} is not a file; name the birds.db of BirdNET-Pi or the birdnet.db of BirdNET-Go", path=path
        )
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            tables = {
                row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
            }
            if "notes" in tables:
                yield from _birdnet_go(database, where, reviewed="note_reviews" in tables)
            elif "detections" in tables and _has(database, "detections", "Sci_Name"):
                yield from _birdnet_pi(database, where)
            else:
                raise SourceError(
                    f"{path} holds neither the table `notes` of BirdNET-Go nor `detections` of BirdNET-Pi", path=path
                )
    except sqlite3.Error as error:
        raise SourceError(f"{path} cannot be read as a database: {error}", path=path) from error


def _birdnet_pi(database: sqlite3.Connection, where: tzinfo) -> Iterator[Foreign | str]:
    rows = database.execute("SELECT rowid, Date, Time, Sci_Name, Com_Name, Confidence, File_Name FROM detections")
    for number, day, clock, scientific, name, score, file in rows:
        try:
            start_ms = _local(f"{day} {clock}", where)
            uid = f"{day}T{clock}/{scientific}/{file}"[:200]
            yield _checked(Foreign(uid, "", name or "", scientific, start_ms, start_ms + WINDOW_MS, float(score)))
        except (TypeError, ValueError) as error:
            yield f"row {number}: {error}"


def _birdnet_go(database: sqlite3.Connection, where: tzinfo, *, reviewed: bool) -> Iterator[Foreign | str]:
    verdict = "(SELECT verified FROM note_reviews WHERE note_id = notes.id)" if reviewed else "NULL"
    rows = database.execute(
        "SELECT id, date, time, begin_time, end_time, species_code, scientific_name, common_name, confidence, "
        f"{verdict} FROM notes"
    )
    words = {"correct": "right", "false_positive": "wrong"}
    for number, day, clock, begin, end, code, scientific, name, score, said in rows:
        try:
            start_ms = _zoned(begin) or _local(f"{day} {clock}", where)
            end_ms = _zoned(end) or start_ms + WINDOW_MS
            if not start_ms < end_ms <= start_ms + 3_600_000:
                end_ms = start_ms + WINDOW_MS
            found = Foreign(
                f"note-{number}", code or "", name or "", scientific, start_ms, end_ms, float(score), words.get(said)
            )
            yield _checked(found)
        except (TypeError, ValueError) as error:
            yield f"note {number}: {error}"


def _checked(found: Foreign) -> Foreign:
    if not isinstance(found.scientific, str) or not found.scientific or len(found.scientific) > 200:
        raise ValueError(f"the scientific name is {found.scientific!r:.60}")
    if not 0 <= found.score <= 1:
        raise ValueError(f"the confidence is {found.score!r}, expected 0 to 1")
    return found


def _local(text: str, where: tzinfo) -> int:
    return _ms(datetime.fromisoformat(text).replace(tzinfo=where))


def _zoned(value: object) -> int | None:
    """A time with its zone, as Go's drivers store it; None where there is none."""
    if not isinstance(value, str):
        return None
    text = value.strip().replace(" +", "+").replace(" -", "-").replace(" ", "T", 1)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    # Year 1 is Go's word for no time.
    return _ms(moment) if moment.tzinfo is not None and moment.year > 1 else None


def _ms(moment: datetime) -> int:
    at_ms = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    if at_ms < 0:
        raise ValueError(f"the time is {moment.isoformat()}, expected one after 1970")
    return at_ms


def _has(database: sqlite3.Connection, table: str, column: str) -> bool:
    return column in {row[1] for row in database.execute(f"PRAGMA table_info({table})")}
