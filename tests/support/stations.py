"""A whole station with fakes at its edges: what tests of the daemon and of faults drive."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from fakes import FakeClock, FakeOutlet, FakeScorer, FakeSource, FakeSystemd, S
from tiny_model import manifest

from birdwatch.live.clips import Clips
from birdwatch.live.daemon import Daemon
from birdwatch.live.listener import MAX_PENDING, Listener
from birdwatch.live.message_builder import Reporter
from birdwatch.live.scheduler import Scheduler
from birdwatch.live.station import Pause, Station
from birdwatch.scores.events import EventRule
from birdwatch.scores.policy import ScoringPolicy

RATE_HZ = 32000


class FakeStation:
    """`run(seconds)` turns the daemon's loop for that long on the fake clock; `accounted()` checks every second."""

    def __init__(
        self,
        *,
        scorer: FakeScorer | None = None,
        source: Any = None,
        clips: Clips | None = None,
        max_pending: int = MAX_PENDING,
        pause: Callable[[], Pause | None] = lambda: None,
        wait: Callable[[float], None] = time.sleep,
        **options: Any,
    ) -> None:
        self.clock = getattr(source, "clock", None) or FakeClock()
        self.source = source or FakeSource(self.clock)
        self.scorer = scorer or FakeScorer(manifest())
        self.outlet = FakeOutlet()
        self.systemd = FakeSystemd()
        self.start = self.clock.now()
        policy = ScoringPolicy((EventRule(0.5, 0.3),) * 3)
        self.listener = Listener(
            self.scorer,
            policy,
            self.start,
            hop_s=2.5,
            recording_s=60.0,
            max_pending=max_pending,
            on_block=None if clips is None else clips.push,
        )
        self.reporter = Reporter(
            self.listener,
            self.outlet.publish,
            self.clock,
            station="garden",
            boot_id="b00t",
            live=True,
            minutes=True,
            clips=clips,
        )
        self.station = Station(
            "garden", self.source, self.listener, self.reporter, self.outlet, self.clock, pause=pause
        )
        self.daemon = Daemon(
            lambda: [self.station],
            Scheduler(self.scorer, self.clock),
            self.systemd,
            self.clock,
            poll=self.outlet.poll,
            pause=wait,
            **options,
        )

    def run(self, seconds: float) -> FakeStation:
        until = self.clock.now().steady_ns + round(seconds * S)
        while self.clock.now().steady_ns < until and self.daemon.turn():
            pass
        return self

    @property
    def statuses(self) -> list[dict[str, Any]]:
        return self.outlet.of("status")

    @property
    def gaps(self) -> list[tuple[str, float]]:
        return [(gap["reason"], gap["seconds"]) for gap in self.outlet.of("gap")]

    def accounted(self, *, open_gap: bool = False) -> None:
        """captured = analysed + skipped + dropped + pending; wall = captured + gap, to a block (a gap that is still
        open is counted when it ends)."""
        accounting = self.listener.accounting
        assert (
            accounting.captured
            == accounting.analysed + accounting.skipped_silent + accounting.dropped + accounting.pending
        )
        if not open_gap:
            wall_s = (self.clock.now().steady_ns - self.start.steady_ns) / S
            adjusted_s = self.listener.clock_sync.adjusted_ns / S
            told_s = (accounting.captured + accounting.gap) / RATE_HZ + adjusted_s
            # A block, and the turn in which the daemon noticed.
            assert told_s == pytest.approx(wall_s, abs=self.source.chunk_s + 1e-6)
