"""The day of a store with many events, against a slow and obvious count of them."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

import pytest
from hubs import START_MS, body, event, iso
from sqlalchemy import text

from birdwatch.hub.clock import HOUR_MS
from birdwatch.hub.ingest import Ingest, Item, Position
from birdwatch.hub.records import parse
from birdwatch.hub.store import Store
from birdwatch.hub.views import today

DAY = date(2026, 5, 1)
CODES = ("houspa", "eurrob1", "kinfis", "winwre4")


def filled(store: Store, pick: random.Random) -> None:
    """Events of two months before the day to a day behind it; few scores, so that several are best."""
    items = []
    for seq in range(1, 601):
        at_ms = START_MS + round(pick.triangular(-60, 2, 0.2) * 24 * HOUR_MS)
        fields = dict(event(0, code=pick.choice(CODES), score=pick.choice([0.5, 0.75, 0.9])).fields)
        fields |= {"event_id": str(seq), "start": iso(at_ms), "end": iso(at_ms + 3000)}
        station = pick.choice(["garden", "pond"])
        record = parse(body("event", seq, fields), now_ms=2 * 10**12)
        assert record.fault is None
        items.append(Item(station, station, "b0", Position(seq, "[]", 0), record))
    Ingest(store).apply(items)


def counted(store: Store, station: str | None) -> dict[str, tuple[int, list[int], float, int, str | None]]:
    """By code: total, by hour, best score and its event, and what is new."""
    query = (
        "SELECT events.id, code, start_ms, score, stations.name FROM events JOIN species ON species.id = events.species"
        " JOIN stations ON stations.id = events.station"
    )
    with store.reading() as connection:
        rows = connection.execute(text(query)).fetchall()
    midnight = datetime(2026, 5, 1, tzinfo=UTC)

    def when(at_ms: int) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)

    found: dict[str, tuple[int, list[int], float, int, str | None]] = {}
    new: str | None
    for code in CODES:
        own = [row for row in rows if row.code == code]
        of_day = [r for r in own if when(r.start_ms).date() == DAY and (station is None or r.name == station)]
        if not of_day:
            continue
        hours = [sum(when(row.start_ms).hour == hour for row in of_day) for hour in range(24)]
        best = max(of_day, key=lambda row: (row.score, row.id))
        # Of all stations: a species that the neighbour's station detected is not new.
        before = [when(row.start_ms) for row in own if when(row.start_ms) < midnight]
        if not before:
            new = "ever"
        elif max(before).year < 2026:
            new = "year"
        else:
            new = "day" if max(before) < midnight - timedelta(30) else None
        found[code] = (len(of_day), hours, best.score, best.id, new)
    return found


@pytest.mark.slow
def test_a_day_is_what_a_slow_count_says(store):
    filled(store, random.Random(3))
    for station in (None, "garden", "pond"):
        with store.reading() as connection:
            day = today(connection, day=DAY, tz="UTC", station=station)
        shown = {
            row["code"]: (row["total"], row["events"], row["best_score"], row["best_event"], row["new"])
            for row in day["species"]
        }
        assert len(shown) >= 3
        assert shown == counted(store, station)


def test_after_an_import_postgresql_reads_an_index_alone(store):
    """In the plan of a page of the best: no event is fetched to find the fifty that are shown."""
    filled(store, random.Random(4))
    store.settle()
    if store.is_sqlite:
        return
    query = "SELECT id FROM events WHERE species = 1 ORDER BY score DESC, id DESC LIMIT 50"
    with store.reading() as connection:
        connection.execute(text("SET enable_seqscan = off"))
        plan = "\n".join(connection.scalars(text(f"EXPLAIN (ANALYZE, COSTS OFF) {query}")))
    assert "Index Only Scan" in plan
    assert "Heap Fetches: 0" in plan
