"""Moments of the hub: milliseconds since 1970 as text, hours and weeks. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from birdwatch.errors import ConfigError

__all__ = ["HOUR_MS", "WEEK_HOURS", "hours_of", "iso", "parse_iso", "week_and_hour", "week_name"]

HOUR_MS = 3_600_000
WEEK_HOURS = 168
# 1970-01-01 was a Thursday: weeks are counted from the Monday before.
MONDAY_HOURS = 72
EPOCH_MONDAY = date(1969, 12, 29)


def iso(at_ms: int) -> str:
    """`2025-05-01T04:12:03.250Z`."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"


def parse_iso(text: str, name: str) -> int:
    """A time or day in milliseconds; UTC where it names no zone. Raises ConfigError that names the parameter."""
    try:
        # A plus sign of a query that was not escaped is a space.
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        raise ConfigError(
            f"{name} is {text!r:.60}, expected a UTC time such as 2026-05-01T04:00:00Z", setting=name
        ) from None


def week_and_hour(at_ms: int) -> tuple[int, int]:
    """The week since Monday 1969-12-29, and the hour of that week's day (0 to 23), in UTC."""
    hour = at_ms // HOUR_MS
    return (hour + MONDAY_HOURS) // WEEK_HOURS, hour % 24


def week_name(week: int) -> str:
    """`2026-W20`."""
    year, number, _ = (EPOCH_MONDAY + timedelta(weeks=week)).isocalendar()
    return f"{year}-W{number:02d}"


def hours_of(start_ms: int, end_ms: int) -> Iterator[tuple[int, float]]:
    """The hours since 1970 that a span touches, with the part of the span that lies in each."""
    span = end_ms - start_ms
    for hour in range(start_ms // HOUR_MS, (end_ms - 1) // HOUR_MS + 1):
        inside = min(end_ms, (hour + 1) * HOUR_MS) - max(start_ms, hour * HOUR_MS)
        yield hour, inside / span
