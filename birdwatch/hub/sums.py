"""Sums over events and listened seconds, stored so that no view has to read millions of rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, func

from birdwatch.hub.clock import HOUR_MS, week_and_hour
from birdwatch.hub.schema import effort_weeks, listened, species_stations, species_weeks
from birdwatch.hub.store import Store

__all__ = ["add_listened", "add_sums", "write_sums"]


def add_sums(
    weeks: dict[tuple[int, int, int], int],
    sums: dict[tuple[int, int], tuple[int, int, int]],
    *,
    species: int,
    station: int,
    start_ms: int,
) -> None:
    """Count one event in the sums by week and hour, and by station (events, first, last)."""
    week, hour = week_and_hour(start_ms)
    weeks[species, week, hour] = weeks.get((species, week, hour), 0) + 1
    count, first_ms, last_ms = sums.get((species, station), (0, start_ms, start_ms))
    sums[species, station] = (count + 1, min(first_ms, start_ms), max(last_ms, start_ms))


def write_sums(
    store: Store,
    connection: Connection,
    weeks: dict[tuple[int, int, int], int],
    sums: dict[tuple[int, int], tuple[int, int, int]],
) -> None:
    """Add these to what the store has."""
    if weeks:
        made = store.insert(species_weeks)
        added = made.on_conflict_do_update(
            index_elements=["species", "week", "hour"], set_={"events": species_weeks.c.events + made.excluded.events}
        )
        keys = ({"species": key[0], "week": key[1], "hour": key[2], "events": n} for key, n in weeks.items())
        connection.execute(added, _listed(keys))
    if sums:
        made = store.insert(species_stations)
        old, new = species_stations.c, made.excluded
        lower = func.min if store.is_sqlite else func.least
        upper = func.max if store.is_sqlite else func.greatest
        added = made.on_conflict_do_update(
            index_elements=["species", "station"],
            set_={
                "events": old.events + new.events,
                "first_ms": lower(old.first_ms, new.first_ms),
                "last_ms": upper(old.last_ms, new.last_ms),
            },
        )
        rows = (
            {"species": key[0], "station": key[1], "events": n, "first_ms": first_ms, "last_ms": last_ms}
            for key, (n, first_ms, last_ms) in sums.items()
        )
        connection.execute(added, _listed(rows))


def add_listened(store: Store, connection: Connection, seconds: dict[tuple[int, int], float]) -> None:
    """Add seconds listened by (station, hour); an hour never holds more than its 3600."""
    if not seconds:
        return
    made = store.insert(listened)
    total = listened.c.seconds + made.excluded.seconds
    lower = func.min if store.is_sqlite else func.least
    added = made.on_conflict_do_update(
        index_elements=["station", "hour"], set_={"seconds": lower(total, HOUR_MS / 1000)}
    )
    rows = ({"station": key[0], "hour": key[1], "seconds": value} for key, value in seconds.items())
    connection.execute(added, _listed(rows))
    weeks: dict[tuple[int, int], float] = defaultdict(float)
    for (_, hour), value in seconds.items():
        weeks[week_and_hour(hour * HOUR_MS)] += value
    made = store.insert(effort_weeks)
    added = made.on_conflict_do_update(
        index_elements=["week", "hour"], set_={"seconds": effort_weeks.c.seconds + made.excluded.seconds}
    )
    sums = ({"week": key[0], "hour": key[1], "seconds": value} for key, value in weeks.items())
    connection.execute(added, _listed(sums))


def _listed(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return list(rows)
