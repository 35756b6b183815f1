"""Lost audio in the live core: each hole is a gap of its length, and no window spans one."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import FakeScorer, S
from listener_bench import RATE_HZ, Bench
from tiny_model import manifest

from birdwatch.audio.types import Gap
from birdwatch.live.results import EndedEvent, Found


def test_a_full_queue_is_a_gap_of_the_frames_it_cost():
    bench = Bench()
    bench.push(7)
    bench.source.lose(0.15)
    bench.source.lost_frames = 4800
    bench.push(6).finish()
    assert bench.of(Gap) == [Gap(7 * RATE_HZ, 4800, "queue-full")]
    # One ends at the hole, padded; the next begins behind it.
    after = 7 * RATE_HZ + 4800
    assert [found.end_frame for found in bench.of(Found)][:4] == [
        5 * RATE_HZ,
        7 * RATE_HZ,
        after + 5 * RATE_HZ,
        after + 6 * RATE_HZ,
    ]
    bench.check()


def test_no_window_spans_a_hole():
    """Each sample is its own frame number: within a window's audio they are consecutive, bar resampling (none here)."""
    seen = []

    def look(samples):
        audio = np.trim_zeros(samples, "b")
        seen.append(audio)
        return [0.0, 0.0, 0.0]

    bench = Bench(FakeScorer(manifest(), look))
    bench.source.make = lambda n: (n + 1) / 2**23
    for lost_s in (0.05, 1.0, 0.2):
        bench.push(6.3)
        bench.source.lose(lost_s)
        bench.source.overflow = True
    bench.push(7).finish()
    assert [gap.reason for gap in bench.of(Gap)] == ["overflow"] * 3
    assert len(seen) == 8
    for audio in seen:
        assert np.all(np.diff(np.round(audio * 2**23)) == 1)
    bench.check()


def test_an_overflow_that_cost_nothing_measurable_is_a_gap_of_a_frame():
    bench = Bench()
    bench.push(5)
    bench.source.overflow = True
    bench.push(5).finish()
    assert [(gap.reason, gap.frames) for gap in bench.of(Gap)] == [("overflow", 1)]
    bench.check()


def test_a_device_that_returns_at_another_rate_continues_the_numbering():
    bench = Bench(rate_hz=44100)
    bench.push(12)
    bench.listener.interrupt("device-lost")
    bench.clock.advance(20)
    bench.source.rate_hz = 48000
    bench.source.start()
    bench.push(12).finish()
    (gap,) = bench.of(Gap)
    assert gap.reason == "device-lost"
    assert gap.start_frame == 12 * RATE_HZ
    assert gap.frames == pytest.approx(20 * RATE_HZ, abs=3)
    assert bench.listener.accounting.dropped <= 2
    bench.check()
    assert bench.listener.accounting.pending == 0


def test_a_microphone_that_was_absent_at_the_start_is_a_gap_from_the_start():
    bench = Bench()
    bench.clock.advance(90)
    bench.source.start()
    bench.push(10).finish()
    assert [(g.start_frame, g.frames, g.reason) for g in bench.of(Gap)] == [(0, 90 * RATE_HZ, "device-lost")]
    bench.check()


def test_a_moment_to_open_the_device_is_no_gap():
    bench = Bench()
    bench.clock.advance(0.4)
    bench.source.start()
    bench.push(10).finish()
    assert bench.of(Gap) == []
    assert bench.listener.clock_sync.utc_ns(0) == bench.start.utc_ns + round(0.4 * S)
    bench.check(adjusted_s=0.4)


def test_a_clock_set_back_ends_events_and_is_a_gap_without_lost_audio():
    bench = Bench()
    bench.source.make = lambda n: 0.8 * np.sin(n * 0.3)
    bench.push(20)
    bench.clock.step(-3600)
    bench.push(30).finish()
    assert [(g.start_frame, g.frames, g.reason) for g in bench.of(Gap)] == [
        (20 * RATE_HZ, -3600 * RATE_HZ, "clock-step")
    ]
    line = bench.listener.clock_sync
    events = [e.event for e in bench.of(EndedEvent)]
    assert len(events) == 2
    times = [line.utc_ns(frame) for event in events for frame in (event.start_frame, event.end_frame)]
    assert times[0] < times[1]
    assert times[2] < times[3]
    assert times[0] < times[2]
    # Windows run on through it: nothing was lost.
    assert bench.listener.accounting.gap == 0
    bench.check()


def test_suspension_is_a_gap_of_its_length():
    bench = Bench()
    bench.push(20)
    bench.clock.suspend(3600)
    bench.push(20).finish()
    (gap,) = bench.of(Gap)
    assert (gap.start_frame, gap.frames, gap.reason) == (20 * RATE_HZ, 3600 * RATE_HZ, "suspended")
    bench.check()
