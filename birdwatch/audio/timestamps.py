"""When a recording began, from what field recorders write: GUANO and AudioMoth headers, and file names.

    20240513_043000.WAV                      AudioMoth (UTC, unless it was set otherwise)
    20240513_043000T.WAV                     AudioMoth, triggered
    STATION_20240513_043000.wav              Wildlife Acoustics (the recorder's clock)
    STATION_20240513$043000.wav              Wildlife Acoustics, older
    20240513T043000+1000_REC.flac            Frontier Labs and others: with its offset from UTC
    S20240815T091156.982648+1000_E2024...    the same, with fractions of a second
    SITE_20170611_100000+1000.wav, ...00Z    the same, behind an underscore
    2024-02-24-birdnet-16:19:37.wav          BirdNET-Pi
    5B07C752.WAV                             AudioMoth before 2020: seconds since 1970 in hexadecimal digits

An offset from UTC in a name is taken as it is; a time without one is read in the zone that the user names. A year
before 1970 or from 2200 on is not believed: recorders whose clock was never set write such years.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from birdwatch.errors import ConfigError

__all__ = [
    "IGNORED",
    "audiomoth_start",
    "believable",
    "guano_fields",
    "guano_start",
    "name_start",
    "parse_time",
    "to_utc_ns",
    "utc_text",
    "zone",
]

# The end of the warning about an implausible start; batch.jobs reports it before scoring.
IGNORED = "which is ignored"
NAME = re.compile(
    r"(?<!\d)(?P<date>\d{4}-?\d\d-?\d\d)(?P<mark>[T_ $-]|-birdnet-(?:[A-Za-z0-9_]+-)?)"
    r"(?P<time>\d\d[-:]?\d\d[-:]?\d\d)(?:[.,](?P<fraction>\d{1,9}))?"
    r"(?P<offset>Z(?![A-Za-z])|[+-]\d\d(?::?\d\d)?)?(?!\d)"
)
# AudioMoth's first firmware: eight hexadecimal digits and nothing else; 2015 to 2022, when it was in use.
HEXADECIMAL = re.compile(r"[0-9A-F]{8}")
HEXADECIMAL_S = (0x54A48E00, 0x63B0CD00)
# Offsets that are in use: a counter after the time (-0001) is not one.
OFFSET = re.compile(r"[+-](?:0\d|1[0-4]):?(?:00|15|30|45)")
# "Recorded at 04:30:00 13/05/2024 (UTC+2) by AudioMoth 243B1F0663FBEF35 at medium gain ..."
AUDIOMOTH = re.compile(
    r"Recorded at (\d\d):(\d\d):(\d\d)(?:\.(\d{3}))? (\d\d)/(\d\d)/(\d{4}) \(UTC(?:([+-])(\d{1,2})(?::(\d\d))?)?\)"
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BELIEVED_UNTIL_NS = (datetime(2200, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(seconds=1) * 1_000_000_000


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
    """The start in ns since 1970 in a file's name without suffix, or None.

    Behind a `T` every offset from UTC counts; elsewhere only `Z` and one of four digits that is in use.
    """
    if HEXADECIMAL.fullmatch(stem):
        seconds = int(stem, 16)
        return seconds * 1_000_000_000 if HEXADECIMAL_S[0] <= seconds < HEXADECIMAL_S[1] else None
    for match in NAME.finditer(stem):
        digits = re.sub(r"\D", "", match["date"] + match["time"])
        try:
            moment = datetime.strptime(digits, "%Y%m%d%H%M%S")
        except ValueError:
            continue
        where, offset = default, match["offset"] or ""
        if offset == "Z":
            where = UTC
        elif match["mark"] == "T" or OFFSET.fullmatch(offset):
            sign = re.fullmatch(r"([+-])(\d\d):?(\d\d)?", offset)
            try:
                where = _offset(*sign.groups()) if sign else default
            except ValueError:
                where = default
        fraction_ns = int((match["fraction"] or "0").ljust(9, "0"))
        # Digits behind a full stop may also be a counter; as a fraction they change less than a second.
        return to_utc_ns(moment.replace(tzinfo=where)) + fraction_ns
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
    try:
        return (moment - EPOCH) // timedelta(microseconds=1) * 1000
    except OverflowError:
        # The first or last day that a date can be, in another zone.
        return (moment.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1) * 1000


def believable(utc_ns: int) -> bool:
    """Whether a recording can have begun then: from 1970 to 2200, which all formats of tables can hold."""
    return 0 <= utc_ns < BELIEVED_UNTIL_NS


def utc_text(utc_ns: int) -> str:
    """RFC 3339 with milliseconds and Z, cut off, not rounded: a time never lies in the future of its audio."""
    try:
        moment = EPOCH + timedelta(microseconds=utc_ns // 1000)
    except OverflowError:
        # The first or last day that a date can be, in another zone.
        moment = (datetime.max if utc_ns > 0 else datetime.min).replace(tzinfo=UTC)
    # isoformat writes years before 1000 with four digits, strftime does not everywhere.
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _offset(sign: str | None, hours: str | None, minutes: str | None) -> timezone:
    ahead = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    return timezone(-ahead if sign == "-" else ahead)
