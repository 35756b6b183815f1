"""Writes messages into the store, one batch per transaction, with the sums for the views and the positions reached.

A batch is stored with the positions that follow from it or not at all, so that a killed hub asks for exactly what is
missing. One `Ingest` owns a store.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, insert, update

from birdwatch.hub.clock import hours_of, iso
from birdwatch.hub.numbers import Boot, Numbers
from birdwatch.hub.records import Detection, Event, Gap, Record, Recording, Status
from birdwatch.hub.schema import (
    boots,
    detections,
    events,
    gaps,
    recordings,
    stations,
    statuses,
)
from birdwatch.hub.store import Store
from birdwatch.hub.sums import add_listened, add_sums, write_sums

__all__ = ["Ingest", "Item", "Position"]

# A station that was away longer than this says nothing about the hours between.
LONGEST_STATUS_MS = 31 * 86_400_000
# Windows are analysed in bursts: between two statuses more may be than their distance.
SLACK_S = 60.0


@dataclass(frozen=True, slots=True)
class Position:
    """How far a station's start has come, after a message."""

    through: int
    holes: str
    lost: int


@dataclass(frozen=True, slots=True)
class Item:
    """A message of `origin` to be stored, or only a position (record without a body); unreadable: how many came."""

    origin: str
    station: str
    boot_id: str
    position: Position | None
    record: Record | None = None
    unreadable: int = 0


@dataclass(slots=True)
class _Batch:
    """Rows of one transaction, by table, and sums to be added."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    listened: dict[tuple[int, int], float] = field(default_factory=lambda: defaultdict(float))
    weeks: dict[tuple[int, int, int], int] = field(default_factory=lambda: defaultdict(int))
    sums: dict[tuple[int, int], tuple[int, int, int]] = field(default_factory=dict)
    positions: dict[int, tuple[Boot, Position]] = field(default_factory=dict)
    status: dict[int, tuple[int, str]] = field(default_factory=dict)
    unreadable: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    live: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


class Ingest:
    """`apply` stores a batch and returns what to tell browsers: (kind, JSON object), in the order of the messages."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._numbers = Numbers(store)

    def apply(self, items: Sequence[Item]) -> list[tuple[str, dict[str, Any]]]:
        """Store these in one transaction. Raises SinkError, and nothing of them is then in the store."""
        batch = _Batch()
        try:
            with self._store.writing() as connection:
                for item in items:
                    self._take(connection, batch, item)
                self._write(connection, batch)
        except BaseException:
            self._numbers.load()
            raise
        return batch.live

    def _take(self, connection: Connection, batch: _Batch, item: Item) -> None:
        station = self._numbers.station(connection, item.origin, item.station)
        batch.unreadable[station] += item.unreadable
        if item.position is None:
            return
        boot = self._numbers.boot(connection, station, item.boot_id)
        batch.positions[boot.id] = (boot, item.position)
        record = item.record
        if record is None:
            return
        if record.fault is not None:
            batch.unreadable[station] += 1
        key = {"boot": boot.id, "seq": record.seq, "station": station}
        content = record.body
        if isinstance(content, Event | Detection):
            known = self._numbers.species(connection, content.code, content.name, content.scientific)
            if known is None:
                batch.unreadable[station] += 1
            elif isinstance(content, Event):
                self._event(batch, key, content, known)
            else:
                self._detection(batch, key, content, known)
        elif isinstance(content, Gap):
            row = {"at_ms": content.start_ms, "seconds": content.seconds, "reason": content.reason[:100]}
            batch.rows["gaps"].append({**key, **row})
            fields = {"utc": iso(content.start_ms), "seconds": content.seconds, "reason": content.reason}
            batch.live.append(("gap", {"station": self._numbers.names[station], **fields}))
        elif isinstance(content, Recording):
            row = {"at_ms": content.start_ms, "end_ms": content.end_ms, "windows": content.windows}
            batch.rows["recordings"].append({**key, **row, "present": json.dumps(content.present)})
        elif isinstance(content, Status):
            self._status(batch, key, boot, record, content)

    def _event(self, batch: _Batch, key: dict[str, Any], content: Event, known: int) -> None:
        number, station = self._numbers.next_event(), key["station"]
        batch.rows["events"].append(
            {
                **key,
                "id": number,
                "species": known,
                "start_ms": content.start_ms,
                "end_ms": content.end_ms,
                "score": content.score,
                "uid": content.uid,
                "clip": int(content.clip),
            }
        )
        add_sums(batch.weeks, batch.sums, species=known, station=station, start_ms=content.start_ms)
        fields = {
            "id": number,
            "station": self._numbers.names[station],
            "code": content.code,
            "name": content.name or content.scientific or content.code,
            "start_utc": iso(content.start_ms),
            "end_utc": iso(content.end_ms),
            "score": content.score,
            "clip": content.clip,
            "review": None,
        }
        batch.live.append(("event", fields))

    def _detection(self, batch: _Batch, key: dict[str, Any], content: Detection, known: int) -> None:
        row = {"species": known, "at_ms": content.start_ms, "end_ms": content.end_ms, "score": content.score}
        batch.rows["detections"].append({**key, **row, "uid": content.uid})
        fields = {
            "station": self._numbers.names[key["station"]],
            "code": content.code,
            "name": content.name or content.scientific or content.code,
            "start_utc": iso(content.start_ms),
            "end_utc": iso(content.end_ms),
            "score": content.score,
        }
        batch.live.append(("detection", fields))

    def _status(self, batch: _Batch, key: dict[str, Any], boot: Boot, record: Record, content: Status) -> None:
        row = {"at_ms": record.sent_ms, "state": content.state[:40], "latency_p95_ms": content.latency_p95_ms}
        batch.rows["statuses"].append({**key, **row})
        since_ms = boot.sent_ms if boot.sent_ms is not None else record.sent_ms - round(content.listened_s * 1000)
        span_ms = record.sent_ms - since_ms
        # Of a replay that came late, or after the clock was set back: the next status covers that time.
        if 0 < span_ms <= LONGEST_STATUS_MS and content.listened_s > boot.listened_s:
            seconds = min(content.listened_s - boot.listened_s, span_ms / 1000 + SLACK_S)
            for hour, part in hours_of(since_ms, record.sent_ms):
                batch.listened[key["station"], hour] += seconds * part
        if boot.sent_ms is None or record.sent_ms > boot.sent_ms:
            boot.listened_s = max(boot.listened_s, content.listened_s)
            boot.sent_ms = record.sent_ms
            if record.sent_ms > batch.status.get(key["station"], (0, ""))[0]:
                batch.status[key["station"]] = (record.sent_ms, content.text)
        fields = {"station": self._numbers.names[key["station"]], "state": content.state, "utc": iso(record.sent_ms)}
        batch.live.append(
            ("status", {**fields, "latency_p95_ms": content.latency_p95_ms, "level_dbfs": content.level_dbfs})
        )

    def _write(self, connection: Connection, batch: _Batch) -> None:
        for table in (events, detections, gaps, recordings, statuses):
            if rows := batch.rows.get(table.name):
                connection.execute(insert(table), rows)
        write_sums(self._store, connection, batch.weeks, batch.sums)
        add_listened(self._store, connection, batch.listened)
        for boot, position in batch.positions.values():
            connection.execute(
                update(boots)
                .where(boots.c.id == boot.id)
                .values(
                    through=position.through,
                    holes=position.holes,
                    lost=position.lost,
                    listened_s=boot.listened_s,
                    sent_ms=boot.sent_ms,
                )
            )
        for station, (at_ms, text) in batch.status.items():
            newer = (stations.c.id == station) & (func.coalesce(stations.c.last_seen_ms, 0) <= at_ms)
            connection.execute(update(stations).where(newer).values(last_seen_ms=at_ms, status=text))
        for station, count in batch.unreadable.items():
            if count:
                connection.execute(
                    update(stations).where(stations.c.id == station).values(unreadable=stations.c.unreadable + count)
                )
