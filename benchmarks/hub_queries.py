"""Times the query of every view of the hub over a large store.

usage: python benchmarks/hub_queries.py [--events 10000000] [--stations 100] [--years 3] [--store FILE] [--repeat 40]

The store is made once and kept: events with a season and a time of day, of 300 species of very unequal frequency, and
every listened hour of every station. Prints a table of the median and the 95th percentile of each view, in ms.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from sqlalchemy import Connection

from birdwatch.hub.clock import HOUR_MS
from birdwatch.hub.event_views import EventQuery, next_to_review, one_event, page_of_events
from birdwatch.hub.station_views import accounting, all_stations
from birdwatch.hub.store import Store
from birdwatch.hub.views import all_species, one_species, today

SPECIES = 300
CHUNK = 500_000
START_MS = 1_672_531_200_000  # 2023-01-01
DAY_MS = 24 * HOUR_MS


def make(path: Path, *, events: int, stations: int, years: int) -> None:
    """Fill a store at `path`."""
    store = Store(f"sqlite:///{path}")
    store.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous = OFF")
        indexes = database.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql NOT NULL"
        ).fetchall()
        for name, _ in indexes:
            if name.startswith("events"):
                database.execute(f"DROP INDEX {name}")
        database.execute("BEGIN")
        database.executemany(
            "INSERT INTO stations (id, origin, sent_name, name, unreadable, last_seen_ms, status) "
            "VALUES (?, ?, ?, ?, 0, ?, '{}')",
            [(n, f"tcp://10.0.0.{n}:5570", f"s{n}", f"s{n}", START_MS) for n in range(1, stations + 1)],
        )
        database.executemany(
            "INSERT INTO species (id, code, name, scientific) VALUES (?,?,?,?)",
            [(n, f"sp{n:03d}", f"Bird {n:03d}", f"Genus species{n:03d}") for n in range(1, SPECIES + 1)],
        )
        for first in range(0, events, CHUNK):
            count = min(CHUNK, events - first)
            rows = _events(np.random.default_rng(first), count, first, events, stations, years)
            database.executemany(
                "INSERT INTO events (id, station, species, start_ms, end_ms, score, clip, uid) "
                "VALUES (?, ?, ?, ?, ?, ?, 1, ?)",
                rows,
            )
        hours = years * 365 * 24
        database.executemany("INSERT INTO listened VALUES (?, ?, ?)", _listened(stations, hours))
        week = f"((start_ms / {HOUR_MS} + 72) / 168)"
        database.execute(
            f"INSERT INTO species_weeks SELECT species, {week}, start_ms / {HOUR_MS} % 24, count(*) "
            "FROM events GROUP BY 1, 2, 3"
        )
        database.execute(
            "INSERT INTO species_stations SELECT species, station, count(*), min(start_ms), max(start_ms) "
            "FROM events GROUP BY 1, 2"
        )
        database.execute(
            "INSERT INTO effort_weeks SELECT (hour + 72) / 168, hour % 24, sum(seconds) FROM listened GROUP BY 1, 2"
        )
        database.execute(
            "UPDATE events SET verdict = 'right', verdict_by = 'Ann', verdict_ms = start_ms WHERE id % 500 = 0"
        )
        database.execute("COMMIT")
        for name, sql in indexes:
            if name.startswith("events"):
                database.execute(sql)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _events(
    rng: np.random.Generator, count: int, first: int, total: int, stations: int, years: int
) -> Iterator[tuple[object, ...]]:
    """Rows in the order of time, most of them in spring and at dawn."""
    days = years * 365
    span = days * count / total
    day = first / total * days + np.sort(rng.random(count)) * span
    hour = np.clip(rng.normal(6, 3, count), 0, 23.99)
    start = (np.floor(day) * DAY_MS + hour * HOUR_MS).astype(np.int64) + START_MS
    kinds = np.minimum(rng.zipf(1.3, count), SPECIES)
    kinds = np.where(kinds == SPECIES, rng.integers(1, SPECIES + 1, count), kinds)
    scores = np.round(0.3 + 0.7 * rng.beta(2, 1.5, count), 6)
    places = rng.integers(1, stations + 1, count)
    for n in range(count):
        at = int(start[n])
        number = first + n + 1
        yield number, int(places[n]), int(kinds[n]), at, at + 5000, float(scores[n]), f"{'0' * 32}-{number}"


def _listened(stations: int, hours: int) -> Iterator[tuple[int, int, float]]:
    for hour in range(START_MS // HOUR_MS, START_MS // HOUR_MS + hours):
        for station in range(1, stations + 1):
            yield station, hour, 3600.0


def views(years: int) -> dict[str, Callable[[Connection, random.Random], object]]:
    """A random question of each view."""
    days = years * 365

    def moment(pick: random.Random) -> int:
        return START_MS + pick.randrange(days) * DAY_MS

    def code(pick: random.Random) -> str:
        return f"sp{pick.choice([1, 2, 5, 20, 100, 250]):03d}"

    def day(pick: random.Random) -> date:
        return date(2023, 1, 1) + timedelta(days=pick.randrange(days))

    def station(pick: random.Random) -> str:
        return f"s{pick.randrange(1, 100)}"

    return {
        "stations": lambda c, pick: all_stations(c, {}, now_ms=moment(pick), exact=True),
        "accounting, a week by hour": lambda c, pick: accounting(
            c, station(pick), from_ms=(at := moment(pick)), to_ms=at + 7 * DAY_MS, step="hour"
        ),
        "accounting, a year by day": lambda c, pick: accounting(
            c, station(pick), from_ms=(at := moment(pick)), to_ms=at + 365 * DAY_MS, step="day"
        ),
        "today, all stations": lambda c, pick: today(c, day=day(pick), tz="Europe/London", station=None),
        "today, one station": lambda c, pick: today(c, day=day(pick), tz="Europe/London", station=station(pick)),
        "all species": lambda c, pick: all_species(c, None),
        "one species": lambda c, pick: one_species(c, code(pick), tz="Europe/London"),
        "events, newest": lambda c, pick: page_of_events(c, EventQuery()),
        "events, of a day": lambda c, pick: page_of_events(
            c, EventQuery(from_ms=(at := moment(pick)), to_ms=at + DAY_MS)
        ),
        "events, of a species": lambda c, pick: page_of_events(c, EventQuery(species=code(pick))),
        "events, best of a species": lambda c, pick: page_of_events(c, EventQuery(species=code(pick), sort="-score")),
        "events, of a station": lambda c, pick: page_of_events(c, EventQuery(station=station(pick))),
        "events, species at a station": lambda c, pick: page_of_events(
            c, EventQuery(species=code(pick), station=station(pick))
        ),
        "events, sure ones": lambda c, pick: page_of_events(c, EventQuery(min_score=0.98)),
        "events, of a species, sure ones": lambda c, pick: page_of_events(
            c, EventQuery(species=code(pick), min_score=0.98)
        ),
        "events, best of all": lambda c, pick: page_of_events(c, EventQuery(sort="-score")),
        "events, best of a month": lambda c, pick: page_of_events(
            c, EventQuery(from_ms=(at := moment(pick)), to_ms=at + 30 * DAY_MS, sort="-score")
        ),
        "events, reviewed as right": lambda c, pick: page_of_events(c, EventQuery(review="right")),
        "events, not reviewed, of a species": lambda c, pick: page_of_events(
            c, EventQuery(review="none", species=code(pick))
        ),
        "one event": lambda c, pick: one_event(c, pick.randrange(1, 10**6)),
        "review, uncertain": lambda c, pick: next_to_review(c, "uncertain", code=None, station=None),
        "review, random, of a species": lambda c, pick: next_to_review(c, "random", code=code(pick), station=None),
        "review, newest, at a station": lambda c, pick: next_to_review(c, "newest", code=None, station=station(pick)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--stations", type=int, default=100)
    parser.add_argument("--years", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=40)
    parser.add_argument("--store", type=Path, default=Path("/tmp/hub_queries.db"))
    given = parser.parse_args()
    if not given.store.exists():
        part = given.store.with_suffix(".part")
        part.unlink(missing_ok=True)
        began = time.perf_counter()
        make(part, events=given.events, stations=given.stations, years=given.years)
        part.replace(given.store)
        print(f"made in {time.perf_counter() - began:.0f} s, {given.store.stat().st_size / 1e9:.2f} GB")
    store = Store(f"sqlite:///{given.store}", read_only=True)
    pick = random.Random(1)
    print(f"{'view':36} {'p50 ms':>8} {'p95 ms':>8}")
    for name, ask in views(given.years).items():
        took = []
        for _ in range(given.repeat):
            with store.reading() as connection:
                began = time.perf_counter()
                ask(connection, pick)
                took.append(1000 * (time.perf_counter() - began))
        print(f"{name:36} {np.percentile(took, 50):8.1f} {np.percentile(took, 95):8.1f}", flush=True)
    store.close()


if __name__ == "__main__":
    main()
