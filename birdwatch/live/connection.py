"""Keeps a source open: a state machine with one table of transitions, whose outcomes are values.

closed --retry--> opening --opened--> open --audio--> delivering
opening --refused--> closed           open, delivering --lost--> closed
delivering --silent--> open (a buffered source: its audio is late) or --lost--> closed (any other)
any --pause--> paused --resume--> closed       any --end--> ended
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Literal

from birdwatch.errors import DeviceError, SourceError, StreamError
from birdwatch.live.source import Chunk, Clock, Source

__all__ = ["Connection", "Phase", "Turn"]

log = logging.getLogger(__name__)

Phase = Literal["closed", "opening", "open", "delivering", "paused", "ended"]
Step = Literal["retry", "opened", "refused", "audio", "lost", "silent", "pause", "resume", "end"]

TRANSITIONS: dict[tuple[Phase, Step], Phase] = {
    ("closed", "retry"): "opening",
    ("opening", "opened"): "open",
    ("opening", "refused"): "closed",
    # A device may deliver before the call that opens it has returned.
    ("opening", "audio"): "delivering",
    ("open", "audio"): "delivering",
    ("open", "lost"): "closed",
    ("open", "silent"): "open",
    ("delivering", "audio"): "delivering",
    ("delivering", "lost"): "closed",
    ("delivering", "silent"): "open",
    ("paused", "resume"): "closed",
    **{(phase, "pause"): "paused" for phase in ("closed", "opening", "open", "delivering", "paused")},
    **{(phase, "end"): "ended" for phase in ("closed", "opening", "open", "delivering", "paused", "ended")},
}


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn brought: chunks; `lost`, the reason of a gap that begins now; whether anything moved."""

    chunks: list[Chunk] = field(default_factory=list)
    lost: str | None = None
    progress: bool = False


class Connection:
    """Opens `source`, reads from it, and opens it again with back-off when it is lost.

    `reason` says why it does not deliver, None before the first attempt has failed and while it delivers.
    """

    def __init__(self, source: Source, clock: Clock) -> None:
        self.source = source
        self.phase: Phase = "closed"
        self.reason: str | None = None
        self._clock = clock
        self._attempts = 0
        self._retry_at = self._last_audio = self._opening_since = self._now()

    def turn(self, timeout_s: float) -> Turn:
        """Open or read, waiting at most `timeout_s`. Raises SourceError where a file breaks off or a library hangs."""
        if self.phase in ("paused", "ended"):
            return Turn()
        turn = self._opened(timeout_s) if self.phase in ("closed", "opening") else self._read(timeout_s)
        if self.source.finished:
            self._step("end")
        return turn

    def pause(self, reason: str) -> None:
        """Close it until `resume`."""
        if self.phase not in ("paused", "ended"):
            if self.phase != "closed":
                self.source.close()
            self._step("pause")
        self.reason = reason

    def resume(self) -> None:
        """Open it with the next turn."""
        if self.phase == "paused":
            self._step("resume")
            self.reason, self._attempts, self._retry_at = None, 0, self._now()

    def end(self, reason: str | None = None) -> None:
        """Close it for good."""
        self.source.close()
        self._step("end")
        self.reason = reason

    def _step(self, step: Step) -> None:
        self.phase = TRANSITIONS[self.phase, step]

    def _opened(self, timeout_s: float) -> Turn:
        now, traits = self._now(), self.source.traits
        if self.phase == "closed":
            if now < self._retry_at:
                return self._take(min(timeout_s, self._retry_at - now))
            self._opening_since = now
            self._step("retry")
            self.source.open()
        try:
            ready = self.source.ready()
        except SourceError as error:
            return self._refused(error)
        if ready:
            self._step("opened")
            self._last_audio = now
            return Turn(progress=True)
        if now - self._opening_since > traits.opening_s:
            # systemd starts a new process; a thread that hangs cannot be ended in this one.
            raise DeviceError(
                f"the sound system has not answered for {traits.opening_s:g} s while opening {self.source.name}; "
                "start birdwatch again, or the sound server"
            )
        try:
            return self._take(timeout_s)
        except (DeviceError, StreamError) as error:
            # It was opened and lost again since it was asked whether it is ready.
            return self._refused(error)

    def _refused(self, error: SourceError) -> Turn:
        if self.reason != str(error):
            log.warning("%s; retrying every few seconds", error)
        self._step("refused")
        self._retry_later(str(error))
        return Turn(progress=True)

    def _read(self, timeout_s: float) -> Turn:
        try:
            turn = self._take(timeout_s)
        except (DeviceError, StreamError) as error:
            return self._lost(self.source.lost_reason, str(error))
        silent_s = self.source.traits.silent_s
        silent = self._now() - self._last_audio > silent_s
        if turn.chunks or not self.source.live or self.source.finished or not silent:
            return turn
        text = f"{self.source.name} is open and has delivered nothing for {silent_s:g} s"
        if not self.source.traits.buffered:
            return self._lost("stall", text)
        if self.reason is None:
            log.warning("%s; its audio may be late", text)
        self._step("silent")
        self.reason = text
        return turn

    def _take(self, timeout_s: float) -> Turn:
        chunks = self.source.read(timeout_s)
        if chunks and self.phase != "closed":
            self._step("audio")
            self._last_audio, self._attempts, self.reason = self._now(), 0, None
        return Turn(chunks, progress=bool(chunks) and self.phase != "opening")

    def _lost(self, reason: str, text: str) -> Turn:
        log.warning("%s; opening it again", text)
        self._step("lost")
        self._retry_later(text)
        return Turn(lost=reason)

    def _retry_later(self, text: str) -> None:
        # A lost device is reopened immediately, then at growing intervals.
        retries_s = self.source.traits.retries_s
        delay_s = 0.0 if self._attempts == 0 else retries_s[min(self._attempts, len(retries_s)) - 1]
        self._attempts += 1
        self._retry_at = self._now() + delay_s
        self.reason = text

    def _now(self) -> float:
        # Time during a suspension is not a delay.
        return self._clock.now().awake_ns / 1e9
