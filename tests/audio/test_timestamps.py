from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from birdwatch.audio.timestamps import audiomoth_start, guano_start, name_start, parse_time, utc_text, zone
from birdwatch.errors import ConfigError

BERLIN = zone("Europe/Berlin")


def utc(ns):
    return None if ns is None else utc_text(ns)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("20240513_043000", "2024-05-13T04:30:00.000Z"),
        ("20240513_043000T", "2024-05-13T04:30:00.000Z"),
        ("STATION_20240513_043000", "2024-05-13T04:30:00.000Z"),
        ("SM4-07_0+1_20240513_043000", "2024-05-13T04:30:00.000Z"),
        ("STATION_20240513$043000", "2024-05-13T04:30:00.000Z"),
        ("20240513T043000Z", "2024-05-13T04:30:00.000Z"),
        ("20240513T043000+0200", "2024-05-13T02:30:00.000Z"),
        ("20240513T043000+02", "2024-05-13T02:30:00.000Z"),
        ("20240513T043000-0930_REC", "2024-05-13T14:00:00.000Z"),
        ("garden 2024-05-13T04:30:00", "2024-05-13T04:30:00.000Z"),
        ("2024-05-13_04-30-00", "2024-05-13T04:30:00.000Z"),
        # A counter behind the time is no offset, another number no date, and no month has 32 days.
        ("20240513_043000-01", "2024-05-13T04:30:00.000Z"),
        ("XC118441", None),
        ("20240532_043000", None),
        ("120240513_0430009", None),
        ("20240513_250000", None),
        ("20241399_000000_20240513_043000", "2024-05-13T04:30:00.000Z"),
    ],
)
def test_names_of_field_recorders(name, expected):
    assert utc(name_start(name, UTC)) == expected


def test_a_name_without_an_offset_is_read_in_the_zone_of_the_recorder():
    assert utc(name_start("20240513_043000", BERLIN)) == "2024-05-13T02:30:00.000Z"
    assert utc(name_start("20240113_043000", BERLIN)) == "2024-01-13T03:30:00.000Z"
    assert utc(name_start("20240513T043000Z", BERLIN)) == "2024-05-13T04:30:00.000Z"


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("Recorded at 04:30:00 13/05/2024 (UTC) by AudioMoth 24F31905 at gain setting 2", "2024-05-13T04:30:00.000Z"),
        ("Recorded at 04:30:00 13/05/2024 (UTC+2) by AudioMoth 24F31905", "2024-05-13T02:30:00.000Z"),
        ("Recorded at 04:30:00.250 13/05/2024 (UTC-3:30) by AudioMoth 1", "2024-05-13T08:00:00.250Z"),
        ("Recorded at 04:30:00 13/13/2024 (UTC) by AudioMoth 1", None),
        ("my garden", None),
    ],
)
def test_comments_of_audiomoth(comment, expected):
    assert utc(audiomoth_start(comment)) == expected


def test_guano_timestamps():
    text = "GUANO|Version: 1.0\nMake: Wildlife Acoustics, Inc.\nTimestamp: {}\nLength: 60"
    assert utc(guano_start(text.format("2024-05-13T04:30:00-05:00"), UTC)) == "2024-05-13T09:30:00.000Z"
    assert utc(guano_start(text.format("2024-05-13 04:30:00.5"), BERLIN)) == "2024-05-13T02:30:00.500Z"
    assert guano_start(text.format("at dawn"), UTC) is None
    assert guano_start("", UTC) is None


def test_nanoseconds_are_exact():
    moment = datetime(2024, 5, 13, 4, 30, 0, 123457, tzinfo=timezone(timedelta(hours=-7)))
    assert parse_time(moment.isoformat(), UTC) % 10**9 == 123457000


@pytest.mark.parametrize("text", ["Europe/Atlantis", "+25:99", "../etc", ""])
def test_an_unknown_zone_is_refused(text):
    with pytest.raises(ConfigError, match="time zone"):
        zone(text)


def test_a_time_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="ISO 8601"):
        parse_time("yesterday", UTC)
