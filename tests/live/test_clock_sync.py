"""Frames to UTC: drift, steps of the clock, suspension; never backwards."""

from __future__ import annotations

import itertools
import random

import pytest
from fakes import UTC0_NS, FakeClock, S

from birdwatch.live.clock_sync import SEGMENTS, ClockSync, Jump

RATE_HZ = 32000
BLOCK = RATE_HZ // 10


def test_without_drift_time_is_frames_over_rate_and_nothing_else():
    clock = FakeClock()
    line = ClockSync(RATE_HZ, clock.now())
    for block in range(1, 3000):
        clock.advance(0.1)
        assert line.observe(block * BLOCK, clock.now()) == 0
        assert line.utc_ns(block * BLOCK) == UTC0_NS + block * S // 10
    assert line.adjusted_ns == 0
    assert line.utc_ns(1) == UTC0_NS + 31250


@pytest.mark.slow
@pytest.mark.parametrize("ppm", [50, -50])
def test_fifty_ppm_over_a_day_stays_within_a_few_milliseconds(ppm):
    """Uncorrected it would be 4.3 s. Blocks arrive up to 30 ms late, as on a busy machine."""
    clock = FakeClock()
    line = ClockSync(RATE_HZ, clock.now())
    late = random.Random(5)
    start = clock.now()
    blocks = 24 * 3600  # of one second
    worst, last = 0, 0
    for block in range(1, blocks + 1):
        # The device's second takes 1 + ppm millionths of a true one.
        true_ns = block * (S + ppm * 1000)
        delay = late.randrange(30_000_000)
        clock.stamp = type(start)(
            start.steady_ns + true_ns + delay, start.awake_ns + true_ns + delay, start.utc_ns + true_ns + delay
        )
        assert line.jumps(block * RATE_HZ, clock.now()) == []
        assert line.observe(block * RATE_HZ, clock.now()) == 0
        told = line.utc_ns(block * RATE_HZ)
        assert told > last
        last = told
        worst = max(worst, abs(told - (UTC0_NS + true_ns)))
    # The least delay of ten blocks is 3 ms on average and 10 ms hardly ever; drift adds half a millisecond.
    assert worst < 20_000_000
    assert abs(line.adjusted_ns - blocks * ppm * 1000) < 20_000_000


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [3600.0, -3600.0, -2.0])
def test_a_clock_step_is_reported_once_and_time_never_runs_backwards(seconds):
    clock = FakeClock()
    line = ClockSync(RATE_HZ, clock.now())
    told, jumps = [], []
    for block in range(1, 200_000):
        clock.advance(0.1)
        if block == 700:
            clock.step(seconds)
        jumps += line.jumps((block - 1) * BLOCK, clock.now())
        line.observe(block * BLOCK, clock.now())
        told.append(line.utc_ns(block * BLOCK))
    assert jumps == [Jump("clock-step", round(seconds * S))]
    assert all(a < b for a, b in itertools.pairwise(told))
    # After twice the step a clock set back has been caught up with; one set forward is followed at once.
    assert told[-1] == clock.now().utc_ns
    if seconds > 0:
        assert told[700] == UTC0_NS + 701 * S // 10 + round(seconds * S)
    # A clock that is set forward was behind before the step too; one that is set back leaves earlier times alone.
    assert line.utc_ns(500 * BLOCK) == UTC0_NS + 50 * S + max(0, round(seconds * S))


def test_a_suspension_is_reported_with_its_length_and_is_no_clock_step():
    clock = FakeClock()
    line = ClockSync(RATE_HZ, clock.now())
    clock.advance(1)
    assert line.jumps(RATE_HZ, clock.now()) == []
    clock.suspend(5 * 3600)
    assert line.jumps(RATE_HZ, clock.now()) == [Jump("suspended", 5 * 3600 * S)]
    assert line.jumps(RATE_HZ, clock.now()) == []


def test_audio_that_went_missing_without_a_word_is_noticed():
    clock = FakeClock()
    line = ClockSync(RATE_HZ, clock.now())
    missing = []
    frame = 0
    for block in range(600):
        clock.advance(0.1)
        if block == 100:
            clock.advance(1.5)
        frame += BLOCK
        found = line.observe(frame, clock.now())
        if found:
            missing.append(found)
            frame += found
    assert missing == [round(1.5 * RATE_HZ)]
    assert line.adjusted_ns == 0


def test_memory_is_bounded_however_long_it_runs():
    clock = FakeClock()
    line = ClockSync(RATE_HZ, clock.now())
    for block in range(1, 20 * SEGMENTS):
        clock.advance(10.01)
        line.observe(block * 10 * RATE_HZ, clock.now())
    assert len(line._segments) <= SEGMENTS


def test_frame_at_is_the_inverse_of_steady_ns():
    clock = FakeClock()
    line = ClockSync(RATE_HZ, clock.now())
    for block in range(1, 500):
        clock.advance(0.10001)
        line.observe(block * BLOCK, clock.now())
    for frame in (499 * BLOCK, 499 * BLOCK + 12345, 10**9):
        assert abs(line.frame_at(line.steady_ns(frame)) - frame) <= 1


def test_a_date_that_was_wrong_is_left_at_once_and_an_hour_is_made_up_for():
    for ahead_s, expected_s in ((300 * 86400, 0.0), (3600, 3600 - 0.5)):
        clock = FakeClock()
        clock.step(ahead_s)
        line = ClockSync(RATE_HZ, clock.now())
        line.utc_ns(0)
        clock.advance(60)
        clock.step(-ahead_s)
        assert line.jumps(60 * RATE_HZ, clock.now()) == [Jump("clock-step", -ahead_s * S)]
        ahead = line.utc_ns(61 * RATE_HZ) - (clock.now().utc_ns + S)
        assert ahead == round(expected_s * S)


@pytest.mark.parametrize("wrong_s", [-56 * 365 * 86400, -3600, -10])
def test_a_clock_that_is_set_wrong_and_right_again_leaves_what_was_right_alone(wrong_s):
    clock = FakeClock()
    line = ClockSync(RATE_HZ, clock.now())
    second = 0

    def run(seconds):
        nonlocal second
        for _ in range(seconds):
            second += 1
            clock.advance(1)
            line.jumps((second - 1) * RATE_HZ, clock.now())
            line.observe(second * RATE_HZ, clock.now())
            line.utc_ns(second * RATE_HZ)

    run(15)
    for _ in range(3):
        clock.step(wrong_s)
        run(3)
        clock.step(-wrong_s)
        run(3)
    run(40)
    told = [line.utc_ns(number * RATE_HZ) for number in range(second + 1)]
    # Those that were sent meanwhile were wrong; of what is sent from now on all has its true time.
    assert told[15:0:-1] == [UTC0_NS + number * S for number in range(15, 0, -1)]
    assert told[-1] == UTC0_NS + second * S
    assert all(a < b for a, b in itertools.pairwise(told))
