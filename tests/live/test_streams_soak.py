"""Fifty streams for a simulated hour, with everything that happens to streams: each is accounted for, nothing grows."""

from __future__ import annotations

import gc
import logging
import random
from typing import Any

import numpy as np
import pytest
from fakes import FakeClock, FakeOutlet, FakeScorer, FakeSource, S
from tiny_model import manifest

from birdwatch.live.daemon import Daemon
from birdwatch.live.listener import Listener
from birdwatch.live.message_builder import Reporter
from birdwatch.live.scheduler import Scheduler
from birdwatch.live.source import STREAM
from birdwatch.live.station import Station
from birdwatch.messaging.messages import Message
from birdwatch.process import open_files, rss_mb, threads
from birdwatch.scores.events import EventRule
from birdwatch.scores.policy import ScoringPolicy
from birdwatch.service.sd_notify import Notifier

STREAMS = 50
MINUTES = 60
# Low, so that fifty hours of samples are 360 MB, of which little is ever in memory.
RATE_HZ = 500
CHUNK_S = 1.0
TURN_S = 1.0


class Outlet(FakeOutlet):
    """Keeps gaps and counts events: an hour of fifty stations' messages would be what grows."""

    def __init__(self) -> None:
        super().__init__()
        self.published = self.events = 0

    def publish(self, message: Message) -> int:
        self.published += 1
        self.events += message.kind == "event"
        if message.kind == "gap":
            self.messages.append(message)
        return self.published


class FakeStream(FakeSource):
    """Delivers what has become due and never moves the clock: the daemon's pause does."""

    traits = STREAM
    lost_reason = "stream-lost"

    def __init__(self, clock: FakeClock, number: int) -> None:
        super().__init__(clock, rate_hz=RATE_HZ, chunk_s=CHUNK_S)
        self.name = f"rtsp://10.0.0.{number}/mic"
        hum = 0.05 * np.sin(np.arange(500) * 0.3 + number)
        self.sound = lambda n: np.resize(hum, len(n)) * (16 if n[0] // RATE_HZ % 240 < 10 else 1)
        self.make = self.sound

    def read(self, timeout_s: float) -> Any:
        if self.is_open and not self.gone and self.due_ns > self.clock.now().awake_ns:
            return []
        return super().read(timeout_s)

    def heal(self) -> None:
        """All is well again."""
        self.absent = self.stuck = False
        self.make = self.sound


def hurt(source: FakeStream, rng: random.Random) -> None:
    """One of the things that happen to a stream."""
    match rng.choice(["lost", "stall", "packets", "rate", "nan", "zero"]):
        case "lost":
            source.gone = source.absent = True
        case "stall":
            source.stuck = True
        case "packets":
            source.lost_frames = round(0.2 * source.rate_hz)
            source.lose(0.2)
        case "rate":
            source.gone = True
            source.rate_hz = RATE_HZ if source.rate_hz != RATE_HZ else 441
        case "nan":
            source.make = lambda n: np.full(len(n), np.nan)
        case "zero":
            source.make = lambda n: np.zeros(len(n))


def assert_gaps_are_accounted_for(stations: list[Station]) -> None:
    for station in stations:
        accounting = station.listener.accounting
        assert accounting.pending == 0
        gaps = station.outlet.of("gap")  # type: ignore[attr-defined]
        assert {gap["reason"] for gap in gaps} <= {"stream-lost", "queue-full", "overflow"}
        assert sum(gap["seconds"] for gap in gaps) == pytest.approx(
            accounting.gap / RATE_HZ, abs=0.001 * len(gaps) + 0.001
        )
        assert station.outlet.events  # type: ignore[attr-defined]


@pytest.mark.slow
def test_fifty_streams_for_an_hour_are_accounted_for_to_the_block(caplog: pytest.LogCaptureFixture) -> None:
    # pytest keeps what is logged: of an hour of faults it was 20 MB.
    caplog.set_level(logging.CRITICAL, logger="birdwatch")
    rng = random.Random(17)
    clock = FakeClock()
    scorer = FakeScorer(manifest(rate_hz=RATE_HZ, window_frames=5 * RATE_HZ, frontend=None, input="waveform"))
    policy = ScoringPolicy((EventRule(0.5, 0.3),) * 3)
    start = clock.now()
    stations: list[Station] = []
    sources = [FakeStream(clock, number) for number in range(STREAMS)]
    for number, source in enumerate(sources):
        listener, outlet = Listener(scorer, policy, start, hop_s=2.5, recording_s=60.0), Outlet()
        name = f"cam{number}"
        reporter = Reporter(listener, outlet.publish, clock, station=name, boot_id=name, live=True, minutes=True)
        stations.append(Station(name, source, listener, reporter, outlet, clock))
    daemon = Daemon(
        lambda: stations,
        Scheduler(scorer, clock),
        Notifier({}),
        clock,
        poll=lambda: None,
        pause=lambda _: clock.advance(TURN_S),
    )
    untouched = stations[0]

    def slow(windows: int) -> None:
        clock.advance(0.08 * windows)

    used = []
    for minute in range(MINUTES):
        until = start.steady_ns + (minute + 1) * 60 * S
        for source in rng.sample(sources[1:], 8):
            hurt(source, rng)
        # Now and then the machine is too slow for all of them.
        scorer.before_call = slow if minute % 10 == 7 else lambda windows: None
        heal_at = until - 30 * S
        while clock.now().steady_ns < until:
            daemon.turn()
            if clock.now().steady_ns >= heal_at:
                for source in sources:
                    source.heal()
                heal_at = until
        if minute in (19, MINUTES - 1):
            gc.collect()
            used.append((rss_mb(), open_files(), threads()))
        for station in stations:
            balanced(station, clock, start.steady_ns)
    daemon.finish()
    assert_gaps_are_accounted_for(stations)
    # The one that nothing happened to has lost nothing, whatever the others did.
    assert untouched.listener.accounting.gap == 0
    assert untouched.listener.dropped_windows == 0 or max(s.listener.dropped_windows for s in stations) > 0
    assert sum(station.listener.accounting.gap for station in stations) > 100 * RATE_HZ
    (first_mb, first_files, first_threads), (last_mb, last_files, last_threads) = used
    assert last_files == first_files
    assert last_threads == first_threads
    assert last_mb - first_mb < 8, used


def balanced(station: Station, clock: FakeClock, began_ns: int) -> None:
    """Every captured block has its fate, and every second of the wall clock its place, also in an outage."""
    accounting = station.listener.accounting
    parts = accounting.analysed + accounting.skipped_silent + accounting.dropped + accounting.pending
    assert accounting.captured == parts
    seconds = station.status().seconds
    wall_s = (clock.now().steady_ns - began_ns) / S
    told_s = seconds.captured + seconds.gap + seconds.drift
    # A block that is under way, and one that a stalled stream has not been missed for yet.
    slack_s = 2 * CHUNK_S if station.state in ("listening", "waiting-device") else 2 * CHUNK_S + 1
    if not station.source.stuck:  # type: ignore[attr-defined]
        assert told_s == pytest.approx(wall_s, abs=slack_s), (station.line, seconds)
