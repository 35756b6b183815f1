"""A simulated week with all that can happen in one: nothing grows, and every second is accounted for.

The clock, the device and the network are fakes, so that it takes a minute; placement, windows, events, clips, the
socket, its journal and a subscriber that never reads are the real ones.
"""

from __future__ import annotations

import gc
import random
import sqlite3

import numpy as np
import pytest
import zmq
from fakes import FakeClock, FakeScorer, FakeSource, S
from tiny_model import manifest

from birdwatch.live.clips import Clips
from birdwatch.live.daemon import Daemon
from birdwatch.live.listener import Listener
from birdwatch.live.message_builder import Reporter
from birdwatch.live.scheduler import Scheduler
from birdwatch.live.station import Station
from birdwatch.messaging.messages import Envelope
from birdwatch.messaging.publisher import Publisher
from birdwatch.process import open_files, rss_mb, threads
from birdwatch.scores.events import EventRule
from birdwatch.scores.policy import ScoringPolicy
from birdwatch.service.sd_notify import Notifier

# Low, so that a week of samples is 1.2 GB of them and not 77. For the same reason chunks are long and hops too.
RATE_HZ = 500
DAY_S = 86400
CHUNK_S = 20


class Garden:
    """What a microphone captures: a low hum, and for a few seconds each few minutes a bird."""

    def __init__(self, source: FakeSource) -> None:
        self.source = source
        self.hum = 0.05 * np.sin(np.arange(CHUNK_S * RATE_HZ) * 0.3)

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        hum = self.hum[: len(numbers)]
        return hum * 16 if (numbers[0] // RATE_HZ) % 240 < 10 else hum


def trouble(rng: random.Random, source: FakeSource, scorer: FakeScorer, clock: FakeClock) -> None:
    """What happens to a station in an hour."""
    match rng.choice(["unplug", "stall", "overflow", "queue", "nan", "slow", "suspend", "step", "none", "zero"]):
        case "unplug":
            source.gone = source.absent = True
            source.rate_hz = RATE_HZ if source.rate_hz != RATE_HZ else 441
        case "stall":
            source.stuck = True
        case "overflow":
            source.overflow = True
            source.lose(rng.random())
        case "queue":
            source.lost_frames = source.rate_hz // 2
            source.lose(0.5)
        case "nan":
            source.make = lambda n: np.full(len(n), np.nan)
        case "zero":
            source.make = lambda n: np.zeros(len(n))
        case "slow":
            scorer.before_call = lambda windows: clock.advance(4.0 * windows)
        case "suspend":
            clock.suspend(1800)
        case "step":
            clock.step(rng.choice([-3.0, 1.5, 3600.0]))


def assert_flat(used: list[tuple[float, int, int]]) -> None:
    # The first day warms up: rings, caches and the journal fill to their bounds.
    (first_mb, first_files, first_threads), (last_mb, last_files, last_threads) = used[0], used[-1]
    assert last_mb - first_mb < 8
    assert abs(last_files - first_files) <= 2
    assert last_threads == first_threads


# Longer than 60 lines: one scenario, in order of time.
@pytest.mark.slow
@pytest.mark.parametrize("days", [7])
def test_a_week(tmp_path, days):
    rng = random.Random(11)
    clock = FakeClock()
    source = FakeSource(clock, rate_hz=RATE_HZ, chunk_s=CHUNK_S)
    source.make = Garden(source)
    scorer = FakeScorer(manifest(rate_hz=RATE_HZ, window_frames=5 * RATE_HZ, frontend=None, input="waveform"))
    clips = Clips(tmp_path / "clips", max_bytes=300_000, min_free_bytes=0)
    start = clock.now()
    policy = ScoringPolicy((EventRule(0.5, 0.3),) * 3)
    listener = Listener(scorer, policy, start, hop_s=5.0, recording_s=60.0, on_block=clips.push)
    endpoint, journal = f"ipc://{tmp_path}/pub", tmp_path / "journal.db"
    envelope = Envelope(station="garden", source=source.name, boot_id="week")
    context = zmq.Context()
    asleep = context.socket(zmq.SUB)
    asleep.rcvhwm = 10
    asleep.subscribe("")
    asleep.connect(endpoint)
    with Publisher(endpoint, envelope, journal=journal, journal_max_bytes=2_000_000, high_water=50) as publisher:
        reporter = Reporter(
            listener, publisher.publish, clock, station="garden", boot_id="week", live=True, minutes=True, clips=clips
        )
        station = Station("garden", source, listener, reporter, publisher, clock)
        scheduler = Scheduler(scorer, clock)
        daemon = Daemon(lambda: [station], scheduler, Notifier({}), clock, poll=publisher.poll)
        used = []
        for hour in range(24 * days):
            until = start.steady_ns + (hour + 1) * 3600 * S
            # Something happens each hour.
            trouble(rng, source, scorer, clock)
            for _ in range(10):
                assert daemon.turn()
            source.absent = False
            source.make = Garden(source)
            scorer.before_call = lambda windows: None
            while clock.now().steady_ns < until:
                assert daemon.turn()
            if hour % 24 == 23:
                gc.collect()
                used.append((rss_mb(), open_files(), threads()))
            accounting = listener.accounting
            assert (
                accounting.captured
                == accounting.analysed + accounting.skipped_silent + accounting.dropped + accounting.pending
            )
        daemon.finish()
        told = publisher.last_seq
        lost = publisher.dropped
    asleep.close(0)
    context.term()

    wall_s = (clock.now().steady_ns - start.steady_ns) / S
    adjusted_s = listener.clock_sync.adjusted_ns / S
    assert wall_s == pytest.approx(days * DAY_S, abs=60)
    assert (accounting.captured + accounting.gap) / RATE_HZ + adjusted_s == pytest.approx(
        wall_s, abs=source.chunk_s + 1
    )
    assert accounting.pending == 0
    assert accounting.analysed > 0.8 * accounting.captured
    assert listener.windows > 0.7 * days * DAY_S / 5
    assert_flat(used)
    # What is kept is bounded too, and the subscriber that slept lost its messages, not ours.
    assert sum(path.stat().st_size for path in clips.folder.iterdir()) <= 300_000
    assert journal.stat().st_size < 3_000_000
    assert told > days * DAY_S / 20
    assert lost > 0
    with sqlite3.connect(f"file:{journal}?mode=ro", uri=True) as database:
        assert database.execute("SELECT max(seq) FROM messages").fetchone() == (told,)
    database.close()
