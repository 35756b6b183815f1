"""Imports archives: each detection becomes an event of a separate station, without duplicates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select

from birdwatch.errors import BirdwatchError, ConfigError
from birdwatch.hub.clock import hours_of
from birdwatch.hub.foreign import Foreign, read_foreign
from birdwatch.hub.numbers import Numbers
from birdwatch.hub.schema import events
from birdwatch.hub.store import Store
from birdwatch.hub.sums import add_listened, add_sums, write_sums
from birdwatch.model.builtin import built_in_model
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.tables.reading import open_detections

__all__ = ["Imported", "import_archive"]

BATCH = 5000
TABLES = {".parquet", ".jsonl", ".csv"}


@dataclass(frozen=True, slots=True)
class Imported:
    """How many were new, how many the store had, and lines about rows that were left out."""

    new: int
    known: int
    left_out: tuple[str, ...]


def import_archive(store: Store, path: Path, *, station: str, where: tzinfo) -> Imported:
    """Take in a database of BirdNET-Pi or BirdNET-Go, or a table of `birdwatch run`, as events of `station`.

    where: the zone of local times in it. Raises SourceError for a file that is none, SinkError from the store.
    """
    is_table = path.suffix in TABLES or path.is_dir()
    rows, effort = _table(path) if is_table else (read_foreign(path, where), {})
    numbers = Numbers(store)
    with store.writing() as connection:
        number = numbers.station(connection, f"import:{station}", station)
    with store.reading() as connection:
        wanted = select(events.c.uid).where(events.c.station == number, events.c.uid.is_not(None))
        known = set(connection.scalars(wanted))
        next_id = (connection.scalar(select(func.max(events.c.id))) or 0) + 1
    first_time = not known
    codes = _codes()
    new = seen = 0
    left_out: list[str] = []
    batch: list[Foreign] = []
    for row in rows:
        if isinstance(row, str):
            left_out.append(row)
        elif row.uid in known:
            seen += 1
        else:
            known.add(row.uid)
            batch.append(row)
        if len(batch) >= BATCH:
            _store(store, numbers, batch, number, next_id, codes)
            new, next_id = new + len(batch), next_id + len(batch)
            batch = []
    _store(store, numbers, batch, number, next_id, codes)
    if effort and first_time:
        with store.writing() as connection:
            add_listened(store, connection, {(number, hour): seconds for hour, seconds in effort.items()})
    return Imported(new + len(batch), seen, tuple(left_out))


def _store(
    store: Store, numbers: Numbers, batch: list[Foreign], station: int, first: int, codes: Mapping[str, tuple[str, str]]
) -> None:
    rows: list[dict[str, Any]] = []
    weeks: dict[tuple[int, int, int], int] = {}
    sums: dict[tuple[int, int], tuple[int, int, int]] = {}
    with store.writing() as connection:
        for place, row in enumerate(batch):
            code, name = codes.get(row.scientific, (row.code or row.scientific, row.name))
            kind = numbers.species(connection, code[:100], row.name or name, row.scientific)
            if kind is None:
                raise ConfigError("the store holds more species than there are; is this a table of birdwatch?")
            rows.append(
                {
                    "id": first + place,
                    "station": station,
                    "species": kind,
                    "start_ms": row.start_ms,
                    "end_ms": row.end_ms,
                    "score": row.score,
                    "uid": row.uid,
                    "clip": 0,
                    "verdict": row.verdict,
                    "verdict_by": "import" if row.verdict else None,
                    "verdict_ms": row.end_ms if row.verdict else None,
                }
            )
            add_sums(weeks, sums, species=kind, station=station, start_ms=row.start_ms)
        if rows:
            connection.execute(insert(events), rows)
            write_sums(store, connection, weeks, sums)


def _table(path: Path) -> tuple[Iterator[Foreign | str], dict[int, float]]:
    """Rows of a table of birdwatch, and seconds listened by hour where it says so (Parquet)."""
    read = open_detections(path)
    effort: dict[int, float] = {}
    for recording in read.recordings():
        start_ns, seconds = recording.get("start_utc_ns"), float(recording.get("duration_s") or 0.0)
        if start_ns is None or not seconds > 0:
            continue
        start_ms = start_ns // 1_000_000
        for hour, part in hours_of(start_ms, start_ms + round(seconds * 1000)):
            effort[hour] = effort.get(hour, 0.0) + seconds * part
    return _rows(read.each_row()), effort


def _rows(rows: Iterable[Any]) -> Iterator[Foreign | str]:
    undated: set[str] = set()
    for row in rows:
        if row.start_utc_ns is None:
            if row.recording not in undated:
                undated.add(row.recording)
                yield f"{row.recording}: its time of recording is not known; its rows are left out"
            continue
        start_ms = row.start_utc_ns // 1_000_000
        length_ms = round((row.end_s - row.start_s) * 1000)
        uid = f"{row.recording}@{row.start_s:.3f}/{row.label}"[-200:]
        yield Foreign(uid, row.label, row.common_name, row.scientific_name, start_ms, start_ms + length_ms, row.score)


def _codes() -> dict[str, tuple[str, str]]:
    """Code and common name by scientific name, of the built-in model: so that archives and stations are one view."""
    try:
        labels = OnnxClassifier(built_in_model(), provider="cpu").manifest.labels
    except BirdwatchError:
        return {}
    return {label.scientific_name: (label.code, label.common_name) for label in labels}
