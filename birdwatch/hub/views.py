"""The species views of the page: one day, all species, one species. Each reads sums, or one day of events."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, func, select

from birdwatch.audio.timestamps import zone
from birdwatch.hub.clock import HOUR_MS, iso, week_name
from birdwatch.hub.event_views import EventQuery, page_of_events
from birdwatch.hub.schema import (
    effort_weeks,
    events,
    listened,
    species,
    species_stations,
    species_weeks,
    stations,
)

__all__ = ["all_species", "one_species", "today"]

BEST = 6
# A species that was not detected for this long is highlighted as news.
MONTH_MS = 30 * 24 * HOUR_MS


def today(connection: Connection, *, day: date, tz: str, station: str | None) -> dict[str, Any]:
    """A day's events by species and hour of that place, with the hours listened in each. Raises ConfigError."""
    where = zone(tz)
    bounds = [_ms(datetime.combine(day, time(), where)), _ms(datetime.combine(day + timedelta(1), time(), where))]
    number = None
    if station is not None:
        number = connection.scalar(select(stations.c.id).where(stations.c.name == station))
        if number is None:
            number = -1
    within = [events.c.start_ms >= bounds[0], events.c.start_ms < bounds[1]]
    if number is not None:
        within.append(events.c.station == number)
    hours_at = _hours_at(bounds, where)
    # Hours since the day's midnight: zones are not always whole hours from UTC.
    place = ((events.c.start_ms - bounds[0]) // HOUR_MS).label("place")
    counted = select(events.c.species, place, func.count()).where(*within).group_by(events.c.species, place)
    by_species: dict[int, list[int]] = defaultdict(lambda: [0] * 24)
    for kind, since, count in connection.execute(counted):
        by_species[kind][hours_at[since]] += count
    best = _best(connection, within)
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
    listened_s = [0.0] * 24
    wanted_hours = select(listened.c.hour, func.sum(listened.c.seconds)).where(
        listened.c.hour >= bounds[0] // HOUR_MS,
        listened.c.hour < -(-bounds[1] // HOUR_MS),
    )
    if number is not None:
        wanted_hours = wanted_hours.where(listened.c.station == number)
    for hour, seconds in connection.execute(wanted_hours.group_by(listened.c.hour)):
        listened_s[hours_at[max(0, (hour * HOUR_MS - bounds[0]) // HOUR_MS)]] += seconds
    return {"day": day.isoformat(), "listened_s": [round(one, 1) for one in listened_s], "species": rows}


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


def _best(connection: Connection, within: list[Any]) -> dict[int, tuple[float, int]]:
    """Score and number of each species' best event, the newest of several."""
    # A day's events lie side by side; one probe for each species reads as many pages, all over the table.
    order = (events.c.score.desc(), events.c.id.desc())
    place = func.row_number().over(partition_by=events.c.species, order_by=order).label("place")
    ranked = select(events.c.species, events.c.score, events.c.id, place).where(*within).subquery()
    wanted = select(ranked.c.species, ranked.c.score, ranked.c.id).where(ranked.c.place == 1)
    return {kind: (score, number) for kind, score, number in connection.execute(wanted)}


def _news(connection: Connection, kinds: list[int], start_ms: int, day: date, where: tzinfo) -> dict[int, str | None]:
    """Whether a species is new at this place: ever, this year, or today after a month's silence."""
    year_ms, month_ms = _ms(datetime(day.year, 1, 1, tzinfo=where)), start_ms - MONTH_MS
    before = (
        select(events.c.start_ms)
        .where(events.c.species == species.c.id, events.c.start_ms < start_ms)
        .order_by(events.c.start_ms.desc())
        .limit(1)
        .scalar_subquery()
    )
    found: dict[int, str | None] = {}
    for kind, last_ms in connection.execute(select(species.c.id, before).where(species.c.id.in_(kinds))):
        if last_ms is None:
            found[kind] = "ever"
        elif last_ms < year_ms:
            found[kind] = "year"
        else:
            found[kind] = "day" if last_ms < month_ms else None
    return found


def _hours_at(bounds: list[int], where: tzinfo) -> list[int]:
    """The hour of day at a place for each hour since its midnight; a day may have 23 or 25."""
    count = -(-(bounds[1] - bounds[0]) // HOUR_MS) + 1
    return [datetime.fromtimestamp((bounds[0] + n * HOUR_MS) / 1000, where).hour for n in range(count)]


@lru_cache(maxsize=4096)
def _shift(week: int, where: tzinfo) -> int:
    """Hours that a place was ahead of UTC in a week, rounded."""
    middle = datetime(1969, 12, 29, tzinfo=UTC) + timedelta(weeks=week, days=3)
    offset = middle.astimezone(where).utcoffset()
    return 0 if offset is None else round(offset / timedelta(hours=1))


def _zone(tz: str) -> Any:
    return zone(tz)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
