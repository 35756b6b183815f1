"""When a recording began, from what field recorders write: GUANO and AudioMoth headers, and file names.

    20240513_043000.WAV                      AudioMoth (UTC, unless it was set otherwise)
    20240513_043000T.WAV                     AudioMoth, triggered
    STATION_20240513_043000.wav              Wildlife Acoustics (the recorder's clock)
    STATION_20240513$043000.wav              Wildlife Acoustics, older
    20240513T043000+1000_REC.flac            Frontier Labs and others: with its offset from UTC

What says its offset from UTC is taken at its word; what does not is read in the zone that the user names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from birdwatch.errors import ConfigError

__all__ = [
    "audiomoth_start",
    "guano_fields",
    "guano_start",
    "name_start",
    "parse_time",
    "to_utc_ns",
    "utc_text",
    "zone",
]

NAME = re.compile(
    r"(?<!\d)(?P<date>\d{4}-?\d\d-?\d\d)(?P<mark>[T_ $-])(?P<time>\d\d[-:]?\d\d[-:]?\d\d)"
    r"(?P<offset>Z|[+-]\d\d(?::?\d\d)?)?(?!\d)"
)
# "Recorded at 04:30:00 13/05/2024 (UTC+2) by AudioMoth 243B1F0663FBEF35 at medium gain ..."
AUDIOMOTH = re.compile(
    r"Recorded at (\d\d):(\d\d):(\d\d)(?:\.(\d{3}))? (\d\d)/(\d\d)/(\d{4}) \(UTC(?:([+-])(\d{1,2})(?::(\d\d))?)?\)"
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def zone(text: str) -> tzinfo:
    """A time zone from `UTC`, `+02:00` or `Europe/Berlin`. Raises ConfigError."""
    if text.upper() in ("UTC", "Z"):
        return UTC
    match = re.fullmatch(r"([+-])(\d{1,2})(?::?(\d\d))?", text)
    try:
        if match:
            return _offset(*match.groups())
        return ZoneInfo(text)
    except (ValueError, OSError, KeyError) as error:
        raise ConfigError(f"time zone {text!r} is unknown; expected UTC, +02:00 or a name such as Europe/Berlin") from (
            error
        )


def name_start(stem: str, default: tzinfo) -> int | None:
    """The start in ns since 1970 that a file's name says, or None. An offset counts only behind a `T`."""
    for match in NAME.finditer(stem):
        digits = re.sub(r"\D", "", match["date"] + match["time"])
        try:
            moment = datetime.strptime(digits, "%Y%m%d%H%M%S")
        except ValueError:
            continue
        where = default
        if match["offset"] and match["mark"] == "T":
            sign = re.fullmatch(r"([+-])(\d\d):?(\d\d)?", match["offset"])
            where = _offset(*sign.groups()) if sign else UTC
        return to_utc_ns(moment.replace(tzinfo=where))
    return None


def audiomoth_start(comment: str) -> int | None:
    """The start in ns since 1970 in an AudioMoth's comment, or None."""
    match = AUDIOMOTH.search(comment)
    if match is None:
        return None
    hour, minute, second, ms, day, month, year, sign, hours, minutes = match.groups()
    try:
        moment = datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second), int(ms or 0) * 1000, tzinfo=UTC
        )
    except ValueError:
        return None
    return to_utc_ns(moment) - (_offset(sign, hours, minutes).utcoffset(None) // timedelta(microseconds=1) * 1000)


def guano_fields(text: str) -> Mapping[str, str]:
    """The `Key: value` lines of a GUANO chunk."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {key.strip(): value.strip() for key, mark, value in pairs if mark}


def guano_start(text: str, default: tzinfo) -> int | None:
    """The start in ns since 1970 in a GUANO chunk's Timestamp, or None."""
    stamp = guano_fields(text).get("Timestamp")
    if not stamp:
        return None
    try:
        return parse_time(stamp, default)
    except ConfigError:
        return None


def parse_time(text: str, default: tzinfo) -> int:
    """ns since 1970 of an ISO 8601 date or time; without an offset it is read in `default`. Raises ConfigError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"time {text!r} is not ISO 8601; expected 2024-05-13 or 2024-05-13T04:30:00+02:00") from error
    return to_utc_ns(moment if moment.tzinfo else moment.replace(tzinfo=default))


def to_utc_ns(moment: datetime) -> int:
    """Integer nanoseconds since 1970: a float of them is exact to 256 ns only."""
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000


def utc_text(utc_ns: int) -> str:
    """RFC 3339 with milliseconds and Z, cut off, not rounded: a time never lies in the future of its audio."""
    moment = EPOCH + timedelta(microseconds=utc_ns // 1000)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _offset(sign: str | None, hours: str | None, minutes: str | None) -> timezone:
    ahead = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    return timezone(-ahead if sign == "-" else ahead)
