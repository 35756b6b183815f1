"""A listener on a test bench: its source and its clock are pushed by hand."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import FakeClock, FakeScorer, FakeSource, S
from tiny_model import manifest

from birdwatch.live.listener import Listener
from birdwatch.scores.events import EventRule
from birdwatch.scores.policy import ScoringPolicy

RATE_HZ = 32000
RULE = EventRule(on=0.5, off=0.3)


class Bench:
    """A listener, its source and its clock, pushed by hand."""

    def __init__(
        self,
        scorer: Any = None,
        *,
        rate_hz: int = RATE_HZ,
        channels: int = 1,
        chunk_s: float = 0.1,
        **options: Any,
    ) -> None:
        self.clock = FakeClock()
        self.source = FakeSource(self.clock, rate_hz=rate_hz, channels=channels, chunk_s=chunk_s)
        self.source.start()
        self.scorer = scorer or FakeScorer(manifest())
        self.listener = Listener(self.scorer, ScoringPolicy((RULE,) * 3), self.clock.now(), hop_s=2.5, **options)
        self.start = self.clock.now()
        self.results: list[Any] = []

    def push(self, seconds: float, *, score: bool = True) -> Bench:
        for _ in range(round(seconds / self.source.chunk_s)):
            for chunk in self.source.read(1.0):
                self.results += self.listener.push(chunk)
            while score and self.listener.waiting:
                self.results += self.listener.score()
        return self

    def finish(self) -> Bench:
        self.results += self.listener.finish()
        return self

    def of(self, kind: type) -> list[Any]:
        return [result for result in self.results if isinstance(result, kind)]

    def check(self, *, adjusted_s: float = 0.0) -> None:
        accounting = self.listener.accounting
        assert (
            accounting.captured
            == accounting.analysed + accounting.skipped_silent + accounting.dropped + accounting.pending
        )
        wall_s = (self.clock.now().steady_ns - self.start.steady_ns) / S
        assert (accounting.captured + accounting.gap) / RATE_HZ == pytest.approx(
            wall_s - adjusted_s, abs=self.source.chunk_s + 1e-6
        )
