"""When a station listens: times of day (UTC) or of the sun (astral), such as `sunrise-60min .. sunset+30min`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from birdwatch.errors import ConfigError

__all__ = ["Schedule", "parse_schedule"]

_MOMENT = re.compile(r"(?:(\d{1,2}):(\d{2})|(dawn|sunrise|noon|sunset|dusk))(?:([+-]\d{1,3})min)?")


@dataclass(frozen=True, slots=True)
class _Moment:
    """A time of every day: minutes after midnight UTC, or after an event of the sun."""

    sun: str | None
    minutes: int

    def on(self, day: date, latitude: float, longitude: float) -> datetime | None:
        """That moment of a day; None where the sun has no such event (polar day and night)."""
        offset = timedelta(minutes=self.minutes)
        if self.sun is None:
            return datetime(day.year, day.month, day.day, tzinfo=UTC) + offset
        from astral import Observer, sun

        try:
            moment: datetime = getattr(sun, self.sun)(Observer(latitude, longitude), date=day, tzinfo=UTC)
        except ValueError:
            return None
        return moment + offset


@dataclass(frozen=True, slots=True)
class Schedule:
    """Spans of every day during which a station at a place (degrees) listens."""

    spans: tuple[tuple[_Moment, _Moment], ...]
    latitude: float
    longitude: float

    def is_active(self, utc_ns: int) -> bool:
        """Whether to listen at a time, in ns since 1970. Where the sun neither rises nor sets: always."""
        now = datetime.fromtimestamp(utc_ns // 1_000_000_000, UTC)
        for days in (-1, 0, 1):
            day = now.date() + timedelta(days=days)
            for first, last in self.spans:
                start = first.on(day, self.latitude, self.longitude)
                end = last.on(day, self.latitude, self.longitude)
                if start is not None and end is not None and end <= start:
                    # `sunset .. sunrise` ends on the next day.
                    end = last.on(day + timedelta(days=1), self.latitude, self.longitude)
                if start is None or end is None or start <= now < end:
                    return True
        return False


def parse_schedule(text: str, latitude: float | None, longitude: float | None) -> Schedule:
    """`A .. B`, several joined by commas; an end is `HH:MM`, dawn, sunrise, noon, sunset or dusk, and `+Nmin`/`-Nmin`.

    Raises ConfigError for other text, and for times of the sun without a place.
    """
    spans = []
    for part in text.split(","):
        ends = [_moment(end.strip()) for end in part.split("..")]
        if len(ends) != 2 or None in ends:
            raise ConfigError(
                f"active is {text!r}, expected spans such as `04:00 .. 10:30` or `sunrise-60min .. sunset+30min`",
                setting="active",
            )
        spans.append((ends[0], ends[1]))
    if any(moment is not None and moment.sun for span in spans for moment in span) and None in (latitude, longitude):
        raise ConfigError(f"active is {text!r}: times of the sun need a place, set lat and lon", setting="active")
    return Schedule(
        tuple((first, last) for first, last in spans if first is not None and last is not None),
        latitude or 0.0,
        longitude or 0.0,
    )


def _moment(text: str) -> _Moment | None:
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    hour, minute, sun, offset = found.groups()
    if sun is None and (int(hour) > 24 or int(minute) > 59):
        return None
    return _Moment(sun, (0 if sun else int(hour) * 60 + int(minute)) + int(offset or 0))
