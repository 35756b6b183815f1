from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdwatch.audio.timestamps import (
    audiomoth_start,
    believable,
    guano_start,
    name_start,
    parse_time,
    to_utc_ns,
    utc_text,
    zone,
)
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
        ("20240513_043000-0001", "2024-05-13T04:30:00.000Z"),
        ("WOO_20170611_100000+1000", "2017-06-11T00:00:00.000Z"),
        ("G024_V1_C2065_U1_20210510_180000Z", "2021-05-10T18:00:00.000Z"),
        ("20151212_123456Z", "2015-12-12T12:34:56.000Z"),
        ("S20240815T091156.982648+1000_E20240815T091251.967555+1000_-12.34567+78.98102", "2024-08-14T23:11:56.982Z"),
        ("20161108T075126.123456-0430_x", "2016-11-08T12:21:26.123Z"),
        ("2024-02-24-birdnet-16:19:37", "2024-02-24T16:19:37.000Z"),
        ("Great_Tit-85-2024-02-24-birdnet-RTSP_1-16:19:37", "2024-02-24T16:19:37.000Z"),
        ("5B07C752", "2018-05-25T08:20:34.000Z"),
        ("FFFFFFFF", None),
        ("ABBADABA", None),
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


FORMATS = [
    # (how a recorder writes it, whether it may carry an offset)
    ("{:%Y%m%d_%H%M%S}", True),
    ("{:%Y%m%d_%H%M%S}T", False),
    ("SITE-7_{:%Y%m%d_%H%M%S}", True),
    ("SITE_{:%Y%m%d$%H%M%S}", False),
    ("{:%Y%m%dT%H%M%S}", True),
    ("S{:%Y%m%dT%H%M%S.%f}", True),
    ("garden {:%Y-%m-%dT%H:%M:%S}", True),
    ("{:%Y-%m-%d_%H-%M-%S}", False),
    ("{:%Y-%m-%d-birdnet-%H:%M:%S}", False),
    ("Blue_Tit-71-{:%Y-%m-%d}-birdnet-RTSP_2-{:%H:%M:%S}", False),
]


@given(
    moment=st.datetimes(datetime(1970, 1, 2), datetime(2199, 12, 30)),
    form=st.sampled_from(FORMATS),
    offset=st.one_of(st.none(), st.sampled_from(["Z", "+0000", "+1000", "-0930", "+0545", "-0430", "+1300"])),
)
def test_every_recorder_s_name_gives_the_moment_it_was_made_from(moment, form, offset):
    template, may_carry = form
    name = template.format(moment, moment)
    minutes = 0
    if offset is not None and may_carry:
        name += offset
        minutes = 0 if offset == "Z" else int(offset[0] + "1") * (int(offset[1:3]) * 60 + int(offset[3:]))
    whole = moment if "%f" in template else moment.replace(microsecond=0)
    expected = whole.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert name_start(name, UTC) == (expected - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


@given(st.text(alphabet="0123456789_-+TZ:.$ abcXYZ", max_size=40))
def test_any_name_gives_a_time_or_none(name):
    found = name_start(name, UTC)
    assert found is None or isinstance(utc_text(found), str)


def test_years_that_no_recorder_meant_are_not_believed():
    for year, expected in ((1, False), (1969, False), (1970, True), (2024, True), (2200, False), (9999, False)):
        assert believable(to_utc_ns(datetime(year, 6, 1, tzinfo=UTC))) is expected
    assert to_utc_ns(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))) < 0
