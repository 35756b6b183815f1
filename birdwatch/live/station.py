"""A station: keeps one source open, numbers and queues its audio for scoring, publishes results and state."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Literal

from birdwatch.live.connection import Connection
from birdwatch.live.listener import MAX_PENDING, Listener
from birdwatch.live.message_builder import Reporter
from birdwatch.live.outputs import Outlet
from birdwatch.live.recent_faults import RecentFaults
from birdwatch.live.results import Fault, Result
from birdwatch.live.source import Clock, Paced, Source
from birdwatch.messaging import messages
from birdwatch.messaging.messages import InForce, Seconds, State, Status
from birdwatch.process import rss_mb

__all__ = ["Outcome", "Pause", "Station"]

log = logging.getLogger(__name__)

STATUS_S = 5.0
# A source that can wait is not read while so many windows are queued: what catches up is not dropped.
ENOUGH_WAITING = MAX_PENDING // 2

# Why a station does not listen at the moment, on purpose: the state it is in and the reason; None where it listens.
Pause = tuple[State, str]
# What a turn came to: something moved; nothing came although it was waited for; there is nothing to wait for, and all
# is well.
Outcome = Literal["moved", "waited", "idle"]


class Station:
    """One source's way from audio to messages. `capture`, score its `listener`'s windows, `report`, `tell`.

    outlet: where its messages go. pause: asked before each turn whether the source is to stay closed. `name` is the
    station's in messages.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        listener: Listener,
        reporter: Reporter,
        outlet: Outlet,
        clock: Clock,
        *,
        pause: Callable[[], Pause | None] = lambda: None,
    ) -> None:
        self.name = name
        self.state: State = "starting"
        self.reason: str | None = None
        self.source = source
        self.listener = listener
        self.reporter = reporter
        self.outlet = outlet
        self.enough_waiting = ENOUGH_WAITING
        # Latitude and longitude as configured, for its status.
        self.place: tuple[float, float] | None = None
        # Which configuration is in force; None where there is none to reload.
        self.configuration: InForce | None = None
        self._clock = clock
        self._pause = pause
        self._connection = Connection(source, clock)
        self._paced = source if isinstance(source, Paced) else None
        # Until its first chunk comes, it is the source that is missing.
        listener.numbering.interrupt(source.lost_reason)
        self._faults = RecentFaults()
        self._last_published: tuple[State, str | None] | None = None
        self._status_at = self._now()
        # Lost, and not captured on purpose, until the station was stopped.
        self._missing_at_stop: tuple[int, int] | None = None

    @property
    def ended(self) -> bool:
        """Whether its source has ended for good."""
        return self._connection.phase == "ended"

    @property
    def line(self) -> str:
        """The state in one line."""
        return f"{self.state}: {self.reason or self.source.name}"

    def capture(self, timeout_s: float) -> Outcome:
        """Take what the source has, waiting at most `timeout_s`. Raises SourceError."""
        pause = self._pause()
        if pause is not None:
            return self._stay_paused(pause)
        if self._connection.phase == "paused":
            self._connection.resume()
            if self.state == "starting":
                # Nothing was captured, because the clock was not set: the stream begins now.
                self.listener.numbering.restart(self._clock.now())
            self.state, self.reason = "starting", None
        if self.source.traits.can_wait and self.listener.queued >= self.enough_waiting:
            return "waited"
        turn = self._connection.turn(timeout_s)
        if turn.lost is not None:
            self.report(self.listener.interrupt(turn.lost))
        for chunk in turn.chunks:
            self.report(self.listener.push(chunk))
        if turn.chunks and self._paced is not None:
            self.listener.expect(self._paced)
        if turn.chunks and self.state not in ("listening", "degraded"):
            # Not before: a device may open and never deliver.
            rates = turn.chunks[0].rate_hz, self.listener.rate_hz
            log.info("listening to %s at %d Hz, scored at %d Hz", self.source.name, *rates)
        return "moved" if turn.progress else "waited"

    def report(self, results: Iterable[Result]) -> None:
        """Publish results, and remember the faults among them."""
        results = list(results)
        for result in results:
            if isinstance(result, Fault):
                self._faults.add(result.kind, f"{self.source.name}: {result.text}", self._now())
        self.reporter.report(results)

    def tell(self) -> None:
        """Decide the state; publish a status every five seconds and at each change of state."""
        self._decide()
        now = self._now()
        if self._last_published is None or self.state != self._last_published[0] or now >= self._status_at:
            self._status_at = now + STATUS_S
            self.outlet.publish(messages.status(self.status()))
        self._last_published = (self.state, self.reason)

    def reloaded(self, refused: str | None) -> None:
        """The configuration was read again; refused: why it is not in force. A status says so in the next turn."""
        if self.configuration is not None:
            self.configuration = replace(self.configuration, reads=self.configuration.reads + 1, refused=refused)
            self._last_published = None

    def stop(self) -> None:
        """Close the source: nothing more is captured. What is queued can still be scored."""
        self._missing_at_stop = self._missing()
        self.state, self.reason = "stopping", None
        self._last_published = None
        self.outlet.publish(messages.status(self.status()))
        self._connection.end()
        self.report(self.listener.interrupt("stall"))

    def finish(self) -> None:
        """End what is open and publish the last status; windows that are still queued are dropped."""
        while self.listener.queued:
            self.report(self.listener.drop_oldest())
        self.report(self.listener.finish())
        if self.reporter.outputs is not None:
            self.reporter.outputs.end()
        self.outlet.publish(messages.status(self.status()))

    def fail(self, text: str) -> None:
        """Its source broke off for good: other stations continue."""
        log.error("%s: %s", self.name, text)
        self._connection.end(text)
        self.report(self.listener.interrupt(self.source.lost_reason))

    def status(self) -> Status:
        """Its state at this moment."""
        accounting, rate_hz, scorer = self.listener.accounting, self.listener.rate_hz, self.listener.scorer
        missing, inactive = self._missing()
        unset = ("clock-unset",) if self.listener.clock_sync.clock_unset else ()
        # The meter shows whole seconds, and an outage has no level.
        measured = self.state in ("listening", "degraded") and accounting.captured >= rate_hz
        return Status(
            state=self.state,
            device=self.source.name,
            provider=scorer.provider,
            model=scorer.manifest.name,
            model_sha256=scorer.sha256,
            seconds=Seconds(
                captured=accounting.captured / rate_hz,
                analysed=accounting.analysed / rate_hz,
                skipped_silent=accounting.skipped_silent / rate_hz,
                dropped=accounting.dropped / rate_hz,
                gap=(accounting.gap + missing) / rate_hz,
                pending=accounting.pending / rate_hz,
                inactive=(accounting.inactive + inactive) / rate_hz,
                drift=self.listener.clock_sync.adjusted_ns / 1e9,
            ),
            latency_p50_ms=self.reporter.latency_ms(50),
            latency_p95_ms=self.reporter.latency_ms(95),
            windows=self.listener.windows,
            detections=self.listener.detections,
            rss_mb=rss_mb(),
            reason=self.reason,
            flags=(*self.listener.level.flags, *unset),
            level_dbfs=self.listener.level.rms_db if measured else None,
            place=self.place,
            configuration=self.configuration,
        )

    def _missing(self) -> tuple[int, int]:
        """Frames of an outage, and of a pause on purpose, that have not ended yet; a file has neither."""
        if self._missing_at_stop is not None:
            return self._missing_at_stop
        return self.listener.numbering.under_way(self._clock.now()) if self.source.live else (0, 0)

    def _stay_paused(self, pause: Pause) -> Outcome:
        self.state, reason = pause
        if self.state == "asleep":
            self.report(self.listener.interrupt("schedule"))
        self._connection.pause(reason)
        return "idle"

    def _decide(self) -> None:
        """Degraded: audio or results were lost within the last minute, or nothing can be detected in the input."""
        now, level, scorer = self._now(), self.listener.level, self.listener.scorer
        for flag in set(level.flags) & {"digital-zero", "stuck"}:
            self._faults.add("dead-input", f"the input is {flag}, nothing can be detected: is it muted?", now)
        if scorer.setback is not None:
            self._faults.add("setback", scorer.setback, now, quiet=True)
        clips = self.reporter.clips
        if clips is not None and clips.fault is not None:
            self._faults.add("clips", clips.fault, now, quiet=True)
        outputs = self.reporter.outputs
        if outputs is not None and outputs.fault is not None:
            self._faults.add("record", outputs.fault, now, quiet=True)
        if self.state == "stopping":
            return
        match self._connection.phase:
            case "delivering":
                self.reason = self._faults.reasons(now)
                self.state = "degraded" if self.reason else "listening"
            case "paused":
                self.reason = self._connection.reason
            case _:
                self.reason = self._connection.reason
                if self.reason is not None:
                    self.state = "waiting-device"

    def _now(self) -> float:
        # Time that the machine slept is not a delay.
        return self._clock.now().awake_ns / 1e9
