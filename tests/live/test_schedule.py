"""Times of day and of the sun, over midnight, and where the sun does not set."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from birdwatch.errors import ConfigError
from birdwatch.live.schedule import parse_schedule

pytest.importorskip("astral")


def active(text: str, moment: str, latitude: float | None = 52.5, longitude: float | None = 13.4) -> bool:
    utc = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    return parse_schedule(text, latitude, longitude).is_active(round(utc.timestamp()) * 1_000_000_000)


def test_times_of_day_include_the_start_and_not_the_end() -> None:
    for moment, expected in [("03:59:59", False), ("04:00:00", True), ("10:29:59", True), ("10:30:00", False)]:
        assert active("04:00 .. 10:30", f"2025-05-01T{moment}", None, None) == expected


def test_a_span_may_pass_midnight_and_there_may_be_several() -> None:
    text = "22:00 .. 02:00, 12:00..13:00"
    hours = [hour for hour in range(24) if active(text, f"2025-05-01T{hour:02d}:30:00", None, None)]
    assert hours == [0, 1, 12, 22, 23]


def test_times_of_the_sun() -> None:
    """Berlin, 21 June 2025: sunrise 02:43, sunset 19:33 UTC (almanac, to a minute or two)."""
    text = "sunrise-60min .. sunset+30min"
    for moment, expected in [("01:35", False), ("01:50", True), ("12:00", True), ("19:58", True), ("20:10", False)]:
        assert active(text, f"2025-06-21T{moment}:00") == expected
    night = "sunset .. sunrise"
    assert [active(night, f"2025-06-21T{hour:02d}:00:00") for hour in (1, 3, 12, 19, 20, 23)] == [
        True,
        False,
        False,
        False,
        True,
        True,
    ]


def test_far_from_greenwich_the_day_is_that_of_the_place() -> None:
    # Auckland, 21 June: sunrise 19:33 UTC of the day before, sunset 05:12 UTC.
    for moment, expected in [("19:00", False), ("20:00", True), ("23:30", True), ("02:00", True), ("06:00", False)]:
        assert active("sunrise .. sunset", f"2025-06-21T{moment}:00", -36.85, 174.76) == expected


def test_where_the_sun_does_not_set_a_station_always_listens() -> None:
    assert active("sunrise .. sunset", "2025-06-21T00:30:00", 78.2, 15.6)


@pytest.mark.parametrize(
    "text", ["", "04:00", "04:00 .. 5", "25:00 .. 26:00", "moonrise .. sunset", "sunrise-1h .. noon"]
)
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"expected spans such as"):
        parse_schedule(text, 1.0, 2.0)


def test_times_of_the_sun_need_a_place() -> None:
    with pytest.raises(ConfigError, match="set lat and lon"):
        parse_schedule("sunrise .. sunset", None, 2.0)
