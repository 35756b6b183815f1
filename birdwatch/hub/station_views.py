"""The station views of the page: state and accounting."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, func, select

from birdwatch.hub.clock import HOUR_MS, iso
from birdwatch.hub.schema import boots, gaps, listened, stations

__all__ = ["accounting", "all_stations"]

# A station sends a status every 5 s.
SILENT_MS, LOST_MS = 20_000, 120_000


def all_stations(connection: Connection, faults: Mapping[str, str], *, now_ms: int, exact: bool) -> dict[str, Any]:
    """Every station with its newest status. faults: by origin, why it cannot be reached.

    exact: its place as the station sent it; else to a tenth of a degree, which is enough for the times of sunrise.
    """
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
                "lat": _rounded(status.get("lat"), 90.0, exact=exact),
                "lon": _rounded(status.get("lon"), 180.0, exact=exact),
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
    by_place: dict[int, float] = defaultdict(float)
    lost: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    place = (listened.c.hour // step_hours).label("place")
    hours = select(place, func.sum(listened.c.seconds)).where(
        listened.c.station == station, listened.c.hour >= from_ms // HOUR_MS, listened.c.hour < -(-to_ms // HOUR_MS)
    )
    for at, seconds in connection.execute(hours.group_by(place)):
        by_place[at] += seconds
    wanted = select(gaps.c.at_ms, gaps.c.seconds, gaps.c.reason).where(
        gaps.c.station == station, gaps.c.at_ms >= from_ms, gaps.c.at_ms < to_ms
    )
    for at_ms, seconds, reason in connection.execute(wanted):
        lost[at_ms // HOUR_MS // step_hours][reason] += seconds
    rows = [
        {
            "utc": iso(place * step_hours * HOUR_MS),
            "listened_s": round(by_place.get(place, 0.0), 3),
            "gaps": {reason: round(seconds, 3) for reason, seconds in lost[place].items()} if place in lost else {},
        }
        for place in sorted({*by_place, *lost})
    ]
    return {"rows": rows}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _rounded(value: object, most: float, *, exact: bool) -> float | None:
    number = _number(value)
    if number is None or not abs(number) <= most:
        return None
    return number if exact else round(number, 1)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
