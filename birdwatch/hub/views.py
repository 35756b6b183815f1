"""What the pages show beside events: stations, the day, species, accounting. Each reads sums, or one day of events."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from sqlalchemy import Connection, func, select

from birdwatch.audio.timestamps import zone
from birdwatch.hub.clock import HOUR_MS, iso, week_name
from birdwatch.hub.event_views import EventQuery, page_of_events
from birdwatch.hub.schema import (
    boots,
    effort_weeks,
    events,
    gaps,
    listened,
    species,
    species_stations,
    species_weeks,
    stations,
)

__all__ = ["accounting", "all_species", "all_stations", "one_species", "today"]

# A station sends a status every 5 s.
SILENT_MS, LOST_MS = 20_000, 120_000
BEST = 6


def all_stations(connection: Connection, faults: Mapping[str, str], *, now_ms: int) -> dict[str, Any]:
    """Every station with its newest status. faults: by origin, why it cannot be reached."""
    newest = {row.station: row for row in connection.execute(select(boots).order_by(boots.c.id))}
    lost = dict(
        tuple(row)
        for row in connection.execute(select(boots.c.station, func.sum(boots.c.lost)).group_by(boots.c.station))
    )
    found = []
    for row in connection.execute(select(stations).order_by(stations.c.name)):
        status = json.loads(row.status) if row.status else {}
        age_ms = now_ms - (row.last_seen_ms or 0)
        boot = newest.get(row.id)
        found.append(
            {
                "name": row.name,
                "endpoint": row.origin,
                "state": "connected" if age_ms < SILENT_MS else "silent" if age_ms < LOST_MS else "lost",
                "listening": _text(status.get("state")),
                "reason": _text(status.get("reason")) or faults.get(row.origin),
                "flags": [flag for flag in _list(status.get("flags")) if isinstance(flag, str)],
                "device": _text(status.get("device")),
                "boot_id": None if boot is None else boot.boot_id,
                "version": _text(status.get("version")),
                "model": _text(status.get("model")),
                "latency_p95_ms": _number(_object(status.get("latency_ms")).get("p95")),
                "level_dbfs": _number(status.get("level_dbfs")),
                "last_seen_utc": None if row.last_seen_ms is None else iso(row.last_seen_ms),
                "lat": row.lat,
                "lon": row.lon,
                "dropped": int(lost.get(row.id) or 0),
                "unreadable": row.unreadable,
            }
        )
    return {"stations": found}


def accounting(connection: Connection, name: str, *, from_ms: int, to_ms: int, step: str) -> dict[str, Any] | None:
    """Seconds listened, and lost by reason, of a station by hour or day (UTC); None where there is no such station."""
    station = connection.scalar(select(stations.c.id).where(stations.c.name == name))
    if station is None:
        return None
    step_hours = 24 if step == "day" else 1
    heard: dict[int, float] = defaultdict(float)
    lost: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    hours = select(listened.c.hour, listened.c.seconds).where(
        listened.c.station == station, listened.c.hour >= from_ms // HOUR_MS, listened.c.hour * HOUR_MS < to_ms
    )
    for hour, seconds in connection.execute(hours):
        heard[hour // step_hours] += seconds
    wanted = select(gaps.c.at_ms, gaps.c.seconds, gaps.c.reason).where(
        gaps.c.station == station, gaps.c.at_ms >= from_ms, gaps.c.at_ms < to_ms
    )
    for at_ms, seconds, reason in connection.execute(wanted):
        lost[at_ms // HOUR_MS // step_hours][reason] += seconds
    rows = [
        {
            "utc": iso(place * step_hours * HOUR_MS),
            "listened_s": round(heard.get(place, 0.0), 3),
            "gaps": {reason: round(seconds, 3) for reason, seconds in lost[place].items()} if place in lost else {},
        }
        for place in sorted({*heard, *lost})
    ]
    return {"rows": rows}


def today(connection: Connection, *, day: date, tz: str, station: str | None) -> dict[str, Any]:
    """A day's events by species and hour of that place, with how long anybody listened in each. Raises ConfigError."""
    where = zone(tz)
    bounds = [_ms(datetime.combine(day, time(), where)), _ms(datetime.combine(day + timedelta(1), time(), where))]
    number = None
    if station is not None:
        number = connection.scalar(select(stations.c.id).where(stations.c.name == station))
        if number is None:
            number = -1
    columns = (events.c.species, events.c.start_ms, events.c.score, events.c.id)
    wanted = select(*columns).where(events.c.start_ms >= bounds[0], events.c.start_ms < bounds[1])
    if number is not None:
        wanted = wanted.where(events.c.station == number)
    hours_at = _hours_at(bounds, where)
    by_species: dict[int, list[int]] = defaultdict(lambda: [0] * 24)
    best: dict[int, tuple[float, int]] = {}
    for kind, start_ms, score, event in connection.execute(wanted):
        by_species[kind][hours_at[(start_ms - bounds[0]) // HOUR_MS]] += 1
        best[kind] = max(best.get(kind, (-1.0, 0)), (score, event))
    news = _news(connection, list(by_species), bounds[0], day, where)
    names = {row.id: row for row in connection.execute(select(species).where(species.c.id.in_(by_species)))}
    rows = [
        {
            "code": names[kind].code,
            "name": names[kind].name,
            "scientific": names[kind].scientific,
            "events": hours,
            "total": sum(hours),
            "best_score": best[kind][0],
            "best_event": best[kind][1],
            "new": news[kind],
        }
        for kind, hours in by_species.items()
    ]
    rows.sort(key=lambda row: (-row["total"], row["name"]))
    heard = [0.0] * 24
    wanted_hours = select(listened.c.hour, func.sum(listened.c.seconds)).where(
        listened.c.hour * HOUR_MS >= bounds[0] - HOUR_MS + 1,
        listened.c.hour >= bounds[0] // HOUR_MS,
        listened.c.hour < -(-bounds[1] // HOUR_MS),
    )
    if number is not None:
        wanted_hours = wanted_hours.where(listened.c.station == number)
    for hour, seconds in connection.execute(wanted_hours.group_by(listened.c.hour)):
        heard[hours_at[max(0, (hour * HOUR_MS - bounds[0]) // HOUR_MS)]] += seconds
    return {"day": day.isoformat(), "listened_s": [round(one, 1) for one in heard], "species": rows}


def all_species(connection: Connection, q: str | None) -> dict[str, Any]:
    """Every species with its number of events, most first; q: a part of its code or names."""
    sums = species_stations.c
    wanted = (
        select(
            species.c.code,
            species.c.name,
            species.c.scientific,
            func.sum(sums.events).label("events"),
            func.min(sums.first_ms).label("first_ms"),
            func.max(sums.last_ms).label("last_ms"),
        )
        .join(species_stations, sums.species == species.c.id)
        .group_by(species.c.id, species.c.code, species.c.name, species.c.scientific)
        .order_by(func.sum(sums.events).desc(), species.c.code)
    )
    part = (q or "").casefold()
    rows = [
        {
            "code": row.code,
            "name": row.name,
            "scientific": row.scientific,
            "events": int(row.events),
            "first_utc": iso(row.first_ms),
            "last_utc": iso(row.last_ms),
        }
        for row in connection.execute(wanted)
        if part in f"{row.code}\n{row.name}\n{row.scientific}".casefold()
    ]
    return {"species": rows}


def one_species(connection: Connection, code: str, *, tz: str) -> dict[str, Any] | None:
    """A species' history against effort, its best events and stations; None where it was never detected."""
    where = zone(tz)
    row = connection.execute(select(species).where(species.c.code == code)).first()
    if row is None:
        return None
    weeks: dict[int, list[float]] = defaultdict(lambda: [0, 0.0])
    hours: list[list[float]] = [[0, 0.0] for _ in range(24)]
    counted = select(species_weeks.c.week, species_weeks.c.hour, species_weeks.c.events)
    for week, hour, count in connection.execute(counted.where(species_weeks.c.species == row.id)):
        weeks[week][0] += count
        hours[(hour + _shift(week, where)) % 24][0] += count
    for week, hour, seconds in _effort(connection):
        if weeks and min(weeks) <= week:
            weeks[week][1] += seconds
        hours[(hour + _shift(week, where)) % 24][1] += seconds
    best = page_of_events(connection, EventQuery(species=code, sort="-score", limit=BEST))["events"]
    places = (
        select(stations.c.name, species_stations.c.events)
        .join(stations, stations.c.id == species_stations.c.station)
        .where(species_stations.c.species == row.id)
        .order_by(species_stations.c.events.desc())
    )
    return {
        "code": row.code,
        "name": row.name,
        "scientific": row.scientific,
        "weeks": [
            {"week": week_name(week), "events": int(values[0]), "listened_s": round(values[1], 1)}
            for week, values in sorted(weeks.items())
        ],
        "hours": [
            {"hour": hour, "events": int(values[0]), "listened_s": round(values[1], 1)}
            for hour, values in enumerate(hours)
        ],
        "best": best,
        "stations": [{"name": name, "events": count} for name, count in connection.execute(places)],
    }


def _effort(connection: Connection) -> list[tuple[int, int, float]]:
    """Seconds that all stations listened, by week and hour of day (UTC)."""
    wanted = select(effort_weeks.c.week, effort_weeks.c.hour, effort_weeks.c.seconds)
    return [(row.week, row.hour, row.seconds) for row in connection.execute(wanted)]


def _news(connection: Connection, kinds: list[int], start_ms: int, day: date, where: tzinfo) -> dict[int, str | None]:
    """Whether a species is new at this place: ever, this year, or today after a month's silence."""
    year_ms = _ms(datetime(day.year, 1, 1, tzinfo=where))
    bounds = {"ever": None, "year": year_ms, "day": start_ms - 30 * 24 * HOUR_MS}
    found: dict[int, str | None] = {}
    for kind in kinds:
        found[kind] = None
        for word, since_ms in bounds.items():
            before = select(events.c.id).where(events.c.species == kind, events.c.start_ms < start_ms)
            if since_ms is not None:
                before = before.where(events.c.start_ms >= since_ms)
            if connection.scalar(before.limit(1)) is None:
                found[kind] = word
                break
    return found


def _hours_at(bounds: list[int], where: tzinfo) -> list[int]:
    """The hour of day at a place for each hour since its midnight; a day may have 23 or 25."""
    count = -(-(bounds[1] - bounds[0]) // HOUR_MS) + 1
    return [datetime.fromtimestamp((bounds[0] + n * HOUR_MS) / 1000, where).hour for n in range(count)]


def _shift(week: int, where: tzinfo) -> int:
    """Hours that a place was ahead of UTC in a week, rounded."""
    middle = datetime(1969, 12, 29, tzinfo=UTC) + timedelta(weeks=week, days=3)
    offset = middle.astimezone(where).utcoffset()
    return 0 if offset is None else round(offset / timedelta(hours=1))


def _zone(tz: str) -> Any:
    return zone(tz)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
