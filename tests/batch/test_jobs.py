from __future__ import annotations

from datetime import UTC

import numpy as np
import pytest
import soundfile

from birdwatch.audio.timestamps import parse_time, zone
from birdwatch.batch.inputs import find_inputs
from birdwatch.batch.jobs import Period, look_at, period_of
from birdwatch.errors import ConfigError

DAY_NS = 24 * 3600 * 10**9


def jobs(*paths, **options):
    return [job for found in look_at(find_inputs([str(path) for path in paths]), **options) for job in found]


@pytest.fixture
def stereo(tmp_path):
    path = tmp_path / "20240513_043000.wav"
    soundfile.write(path, np.zeros((96000, 2), np.int16), 48000)
    return path


def test_a_job_knows_length_start_and_state(stereo):
    (job,) = jobs(stereo)
    assert (job.name, job.channel, job.duration_s, job.fault) == ("20240513_043000", None, 2.0, None)
    assert job.start_utc_ns == 1715574600 * 10**9
    assert (job.size_bytes, job.mtime_ns) == (stereo.stat().st_size, stereo.stat().st_mtime_ns)


def test_each_channel_is_a_job_of_its_own(stereo, tmp_path):
    soundfile.write(tmp_path / "mono.wav", np.zeros(3200, np.int16), 32000)
    found = jobs(stereo, tmp_path / "mono.wav", channel="each")
    assert [(job.name, job.channel) for job in found] == [
        ("20240513_043000_ch0", 0),
        ("20240513_043000_ch1", 1),
        ("mono", None),
    ]
    assert len({job.key for job in found}) == 3


def test_what_cannot_be_read_is_a_job_with_a_fault(tmp_path, stereo):
    (tmp_path / "bad.wav").write_text("no audio")
    bad, none, lacking = jobs(tmp_path / "bad.wav", tmp_path / "none.wav", stereo, channel=5)
    assert "is not audio" in bad.fault
    assert "no such file" in none.fault
    assert "has no channel 5" in lacking.fault


def test_a_start_that_was_given_wins(stereo):
    assert jobs(stereo, start_utc_ns=7)[0].start_utc_ns == 7
    assert jobs(stereo, default=zone("+02:00"))[0].start_utc_ns == (1715574600 - 7200) * 10**9


def test_a_period_holds_its_first_moment_and_all_of_its_last_day():
    may = period_of("2024-05-01", "2024-05-31", UTC)
    first = 1714521600 * 10**9
    assert first in may
    assert first - 1 not in may
    assert first + 31 * DAY_NS - 1 in may
    assert first + 31 * DAY_NS not in may
    assert None not in may
    assert period_of("20240501", "20240531", UTC) == may
    assert period_of("2024-05-01", "9999-12-31", UTC) == Period(first)
    assert None in Period()
    assert first in period_of(None, "2024-05-01T00:00:01Z", UTC)
    assert first not in period_of(None, "2024-05-01T00:00:00Z", UTC)


def test_a_period_that_ends_before_it_begins_is_refused():
    with pytest.raises(ConfigError, match="is not before"):
        period_of("2024-06-01", "2024-05-01", UTC)


@pytest.mark.parametrize(
    ("day", "hours"), [("2024-03-31", 23), ("2024-10-27", 25), ("2024-06-01", 24), ("2024-12-31", 24)]
)
def test_a_day_ends_at_the_next_midnight_on_the_clock(day, hours):
    berlin = zone("Europe/Berlin")
    period = period_of(day, day, berlin)
    assert period.since_ns is not None
    assert period.until_ns is not None
    assert period.until_ns - period.since_ns == hours * 3600 * 10**9
    last = parse_time(f"{day}T23:59:59.999999", berlin)
    assert last in period
    assert last + 1000 not in period
