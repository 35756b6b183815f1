"""The only live loop: a source is kept open, its audio scored, what is found published, and its state told.

One thread does it all, in turns of a quarter of a second at most; a test takes a week's turns with a clock of its own.
Nothing here sleeps but the source's `read`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from birdwatch.errors import BirdwatchError, DeviceError, SourceError
from birdwatch.live.listener import Listener
from birdwatch.live.message_builder import Reporter
from birdwatch.live.outputs import Outlet, Systemd
from birdwatch.live.recent_warnings import Troubles
from birdwatch.live.source import Clock, Source
from birdwatch.messaging import messages
from birdwatch.messaging.messages import Seconds, State, Status
from birdwatch.process import rss_mb

__all__ = ["Daemon"]

log = logging.getLogger(__name__)

TURN_S = 0.25
STATUS_S = 5.0
# PortAudio may call a stream active that never calls back (its issue 930).
SILENT_S = 2.5
# A device opens within a second or two; where it takes this long the sound library hangs, and only a new process helps.
OPENING_S = 10.0
# Between attempts to find a device. The last stays: it is to be heard within ten seconds of being plugged in.
RETRIES_S = (0.5, 1.0, 2.0, 4.0)
# How long the end may take to score what still waits.
FLUSH_S = 3.0


class Daemon:
    """Listens until it is told to `stop` or its source has ended.

    reload: applies a changed configuration and says what changed; raises ConfigError where it will not do. on_turn:
    is called after each turn (a display).
    """

    def __init__(
        self,
        source: Source,
        listener: Listener,
        reporter: Reporter,
        outlet: Outlet,
        systemd: Systemd,
        clock: Clock,
        *,
        reload: Callable[[], str] = lambda: "nothing to reload",
        on_turn: Callable[[], None] = lambda: None,
    ) -> None:
        self.state: State = "starting"
        self.reason: str | None = None
        self._source = source
        self._listener = listener
        self._reporter = reporter
        self._outlet = outlet
        self._systemd = systemd
        self._clock = clock
        self._reload = reload
        self._on_turn = on_turn
        self._troubles = Troubles()
        self._stopping = self._reloading = self._up = self._open = self._failing = False
        self._told: tuple[State, str | None] | None = None
        self._attempts = self._dropped_windows = self._invalid_frames = 0
        self._retry_at = self._last_chunk = self._status_at = self._now()
        self._opening_since: float | None = None

    def stop(self) -> None:
        """End after this turn; safe in a signal handler."""
        self._stopping = True

    def reload(self) -> None:
        """Read the configuration again in the next turn; safe in a signal handler."""
        self._reloading = True

    def run(self) -> None:
        """Take turns until the end, and flush. Raises SourceError where a file breaks off or the sound system hangs."""
        try:
            while self.turn():
                pass
        finally:
            self.finish()

    def turn(self) -> bool:
        """Read, score and publish once; False when there is no more to do."""
        if self._reloading:
            self._reloading = False
            self._apply_reload()
        progress = self._capture() if self._open else self._connect()
        self._score()
        self._outlet.poll()
        self._judge()
        self._tell()
        # Fed by work alone, so a loop that is stuck, or a network that only fails, has systemd start the daemon anew.
        if progress and not self._failing:
            self._systemd.progress()
        self._on_turn()
        return not (self._stopping or self._source.finished)

    def finish(self) -> None:
        """Score what waits while there is time, end what is open, say goodbye."""
        self.state, self.reason = "stopping", None
        self._systemd.stopping("stopping")
        self._tell()
        self._source.close()
        self._listener.interrupt("stall")
        until = self._now() + FLUSH_S
        while self._listener.waiting and (self._now() < until or not self._source.live):
            self._reporter.report(self._listener.score())
        self._listener.drop_waiting()
        self._reporter.report(self._listener.finish())
        self._outlet.publish(messages.status(self.status()))

    def status(self) -> Status:
        """How it is at this moment."""
        accounting, rate_hz, scorer = self._listener.accounting, self._listener.rate_hz, self._listener.scorer
        return Status(
            state=self.state,
            device=self._source.name,
            provider=scorer.provider,
            model=scorer.manifest.name,
            model_sha256=scorer.sha256,
            seconds=Seconds(
                captured=accounting.captured / rate_hz,
                analysed=accounting.analysed / rate_hz,
                skipped_silent=accounting.skipped_silent / rate_hz,
                dropped=accounting.dropped / rate_hz,
                gap=accounting.gap / rate_hz,
                pending=accounting.pending / rate_hz,
                drift=self._listener.timeline.adjusted_ns / 1e9,
            ),
            latency_p50_ms=self._reporter.latency_ms(50),
            latency_p95_ms=self._reporter.latency_ms(95),
            windows=self._listener.windows,
            detections=self._listener.detections,
            rss_mb=rss_mb(),
            reason=self.reason,
            flags=self._listener.level.flags,
        )

    def _connect(self) -> bool:
        """Get the source open; True when an attempt was begun or has ended."""
        now = self._now()
        if self._opening_since is None:
            if now < self._retry_at:
                self._take(min(TURN_S, self._retry_at - now))
                return False
            self._opening_since = now
            self._source.open()
        try:
            self._open = self._source.ready()
        except SourceError as error:
            if self.reason != str(error):
                log.warning("%s; trying again every few seconds", error)
            self._retry_later(str(error))
            return True
        if self._open:
            self._opening_since, self._last_chunk = None, now
            return True
        if now - self._opening_since > OPENING_S:
            # Systemd starts a new process; this one cannot get rid of the thread that hangs.
            raise DeviceError(
                f"the sound system has not answered for {OPENING_S:g} s while opening {self._source.name}; "
                "start birdwatch again, or the sound server"
            )
        self._take(TURN_S)
        return False

    def _capture(self) -> bool:
        """Take what the source has; True when audio came."""
        try:
            if self._take(0.0 if self._listener.waiting else TURN_S):
                return True
        except DeviceError as error:
            self._lost("device-lost", str(error))
            return False
        if self._source.live and not self._source.finished and self._now() - self._last_chunk > SILENT_S:
            self._lost("stall", f"{self._source.name} is open and has delivered nothing for {SILENT_S:g} s")
        return False

    def _take(self, timeout_s: float) -> bool:
        chunks = self._source.read(timeout_s)
        for chunk in chunks:
            self._reporter.report(self._listener.push(chunk))
        if chunks:
            self._last_chunk = self._now()
            self._attempts = 0
            if self.state not in ("listening", "degraded"):
                # Not before: a device may open and never deliver.
                rates = chunks[0].rate_hz, self._listener.rate_hz
                log.info("listening to %s at %d Hz, heard at %d Hz", self._source.name, *rates)
                self.state, self.reason = "listening", None
        return bool(chunks)

    def _lost(self, reason: str, text: str) -> None:
        log.warning("%s; opening it again", text)
        self._listener.interrupt(reason)
        self._open = False
        self._retry_later(text)

    def _retry_later(self, text: str) -> None:
        # A device that is lost is looked for at once; after that there is less and less hurry.
        delay_s = 0.0 if self._attempts == 0 else RETRIES_S[min(self._attempts, len(RETRIES_S)) - 1]
        self._attempts += 1
        self._opening_since = None
        self._retry_at = self._now() + delay_s
        self.state, self.reason = "waiting-device", text

    def _score(self) -> None:
        """Score a batch; all there is where the source waits for us."""
        before = self._listener.windows, self._listener.accounting.skipped_silent
        faults = self._listener.inference_faults
        # Without a waiting window too: there may be events to end.
        self._reporter.report(self._listener.score())
        while self._listener.waiting and not self._source.live:
            self._reporter.report(self._listener.score())
        if (self._listener.windows, self._listener.accounting.skipped_silent) != before:
            self._failing = False
        elif self._listener.inference_faults > faults:
            self._failing = True

    def _judge(self) -> None:
        """Degraded is what lost audio or results within the last minute, and an input on which nothing can be heard."""
        listener, now = self._listener, self._now()
        if listener.dropped_windows > self._dropped_windows:
            self._dropped_windows = listener.dropped_windows
            dropped = f"{listener.accounting.dropped / listener.rate_hz:.1f} s dropped since the start"
            fault, listener.inference_fault = listener.inference_fault, None
            why = fault or "inference is slower than real time, the oldest windows are dropped"
            self._troubles.add("slow" if fault is None else "inference", f"{why} ({dropped})", now)
        if listener.invalid_frames > self._invalid_frames:
            self._invalid_frames = listener.invalid_frames
            self._troubles.add("bad-audio", f"{self._source.name} delivers NaN or infinity, which is dropped", now)
        for flag in set(listener.level.flags) & {"digital-zero", "stuck"}:
            self._troubles.add("dead-input", f"the input is {flag}, nothing can be heard: is it muted?", now)
        if listener.scorer.setback is not None:
            self._troubles.add("setback", listener.scorer.setback, now, quiet=True)
        clips = self._reporter.clips
        if clips is not None and clips.fault is not None:
            self._troubles.add("clips", clips.fault, now, quiet=True)
        if self.state in ("listening", "degraded"):
            self.reason = self._troubles.reasons(now)
            self.state = "degraded" if self.reason else "listening"

    def _tell(self) -> None:
        """A status every five seconds and at each change of state; READY once the state is a declared one."""
        now = self._now()
        if self._told is None or self.state != self._told[0] or now >= self._status_at:
            self._status_at = now + STATUS_S
            self._outlet.publish(messages.status(self.status()))
        if (self.state, self.reason) != self._told:
            self._told = (self.state, self.reason)
            self._systemd.status(self._line())
        if not self._up and self.state != "starting":
            self._up = True
            self._systemd.ready(self._line())

    def _line(self) -> str:
        return f"{self.state}: {self.reason or self._source.name}"

    def _apply_reload(self) -> None:
        self._systemd.reloading()
        try:
            log.warning("configuration reloaded: %s", self._reload())
        except BirdwatchError as error:
            log.error("configuration not reloaded, the old one stays in force: %s", error)
        self._systemd.ready(self._line())

    def _now(self) -> float:
        # Time asleep is nobody's delay.
        return self._clock.now().awake_ns / 1e9
