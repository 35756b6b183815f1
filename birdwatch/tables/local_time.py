"""Converts times from UTC to a time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

__all__ = ["local_text", "local_time"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def local_time(utc_ns: int, where: tzinfo) -> datetime:
    """A time in ns since 1970 on the clock of a zone. Raises OverflowError outside the years 1 to 9999."""
    return (EPOCH + timedelta(microseconds=utc_ns // 1000)).astimezone(where)


def local_text(utc_ns: int, where: tzinfo) -> str:
    """RFC 3339 with milliseconds and the offset from UTC: `2024-05-13T06:30:00.000+02:00`."""
    return local_time(utc_ns, where).isoformat(timespec="milliseconds")
