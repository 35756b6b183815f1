"""Numbers the frames of a live stream: the frames of each chunk, and the gap before it with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from birdwatch.audio.downmix import mono
from birdwatch.audio.types import AudioBlock, Gap
from birdwatch.live.clock_sync import ClockSync
from birdwatch.live.source import Chunk, Stamp
from birdwatch.scores.accounting import Accounting

__all__ = ["FrameNumbering", "Numbered"]

# A stream that begins this soon after opening has lost nothing: a device takes a moment to open.
OPENING_NS = 5_000_000_000


@dataclass(frozen=True, slots=True)
class Numbered:
    """A chunk as a mono block at its device's rate, and what came before it.

    gaps: at the model's rate. stepped: whether the wall clock jumped there, so that no event may span the place.
    No window may span any of the gaps.
    """

    block: AudioBlock
    gaps: tuple[Gap, ...]
    stepped: bool


class FrameNumbering:
    """Numbers the frames of one stream through any number of devices, rates and gaps.

    `accounting` and `clock_sync` count frames at `rate_hz`, the model's; frame 0 is at `start`, and frames that were
    never captured are counted too. Blocks are numbered at their device's own rate, so that samples are consecutive.
    channel: which one of a chunk's to take; None downmixes them.
    """

    def __init__(self, rate_hz: int, start: Stamp, *, channel: int | None = None) -> None:
        self.rate_hz = rate_hz
        self.clock_sync = ClockSync(rate_hz, start)
        self.accounting = Accounting()
        self._channel = channel
        self._interrupted: str | None = "device-lost"
        self._begun = False
        self._device_frame = 0

    @property
    def interrupted(self) -> bool:
        """Whether no device is delivering."""
        return self._interrupted is not None

    def interrupt(self, reason: str) -> None:
        """The device stopped; the length of the gap is known when the next chunk comes."""
        # Before the first chunk it is not a device that was lost.
        self._interrupted = reason if not self._begun else self._interrupted or reason

    def under_way(self, now: Stamp) -> tuple[int, int]:
        """Frames that are missing since the device stopped: lost ones, and those not captured on purpose.

        They are counted in `accounting` once the next chunk comes.
        """
        if self._interrupted is None:
            return 0, 0
        frames = max(0, self.clock_sync.frame_at(now.steady_ns) - self.accounting.end_frame)
        if not self._begun and frames < self._frames(OPENING_NS):
            return 0, 0
        return (0, frames) if self._interrupted == "schedule" else (frames, 0)

    def restart(self, start: Stamp) -> None:
        """Frame 0 is at `start` instead: nothing was captured so far, on purpose."""
        if not self._begun:
            self.clock_sync = ClockSync(self.rate_hz, start)

    def number(self, chunk: Chunk) -> Numbered:
        """Number a chunk's frames, count them, and count what is missing before them."""
        start = self.accounting.end_frame
        jumps = self.clock_sync.jumps(start, chunk.stamp)
        steps = [Gap(start, self._frames(jump.ns), jump.reason) for jump in jumps if jump.reason == "clock-step"]
        slept = sum(self._frames(jump.ns) for jump in jumps if jump.reason == "suspended")
        missing, reason = self._missing(chunk, slept)
        gaps = [*steps, *([self._miss(missing, chunk.rate_hz, reason)] if missing else [])]
        block = AudioBlock(mono(chunk.samples, self._channel), self._device_frame, chunk.rate_hz)
        self._device_frame = block.end_frame
        self.accounting.capture(self._to_model(block.end_frame, chunk.rate_hz) - self.accounting.end_frame)
        return Numbered(block, tuple(gaps), stepped=bool(steps))

    def _missing(self, chunk: Chunk, slept: int) -> tuple[int, str]:
        """How many frames are missing before `chunk`, and why: the first detector that finds any decides.

        slept: frames of a suspension, which explains by itself what the clock shows.
        """
        if self._interrupted is not None:
            reason, self._interrupted = self._interrupted, None
            return self._reopened(chunk), "suspended" if slept else reason
        detectors = [(chunk.lost_reason, self._lost), ("overflow", self._overflow), ("stall", self._fell_behind)]
        for reason, detect in detectors[:1] if slept else detectors:
            if found := detect(chunk):
                return slept + found, "suspended" if slept else reason
        return slept, "suspended"

    def _lost(self, chunk: Chunk) -> int:
        return self._to_model(chunk.lost_frames, chunk.rate_hz)

    def _overflow(self, chunk: Chunk) -> int:
        """PortAudio does not say how much was lost, the clock does; one frame at least, so that no window spans it."""
        if not chunk.overflow:
            return 0
        return max(1, self.clock_sync.frame_at(chunk.stamp.steady_ns) - self._end_of(chunk))

    def _fell_behind(self, chunk: Chunk) -> int:
        return self.clock_sync.observe(self._end_of(chunk), chunk.stamp)

    def _reopened(self, chunk: Chunk) -> int:
        """How many frames are missing between the last device's last frame and a new one's first."""
        rate_hz, end = chunk.rate_hz, self.accounting.end_frame
        began_ns = chunk.stamp.steady_ns - len(chunk.samples) * 1_000_000_000 // rate_hz
        first, self._begun = not self._begun, True
        self._device_frame = self._to_device(end, rate_hz)
        if first and abs(began_ns - self.clock_sync.steady_ns(end)) < OPENING_NS:
            self.clock_sync.start_at(end, began_ns)
            return 0
        # At another rate the first frame may lie between two of the last one's: that place is a gap too.
        return max(1, self.clock_sync.frame_at(began_ns) - end)

    def _miss(self, frames: int, rate_hz: int, reason: str) -> Gap:
        """Skip `frames`, and up to one frame of the device more: a block begins with a whole one."""
        start = self.accounting.end_frame
        self._device_frame = self._to_device(start + frames, rate_hz)
        gap = Gap(start, self._to_model(self._device_frame, rate_hz) - start, reason)
        self.accounting.hole(gap.frames, on_purpose=reason == "schedule")
        self.clock_sync.rebase(self.accounting.end_frame)
        return gap

    def _end_of(self, chunk: Chunk) -> int:
        return self.accounting.end_frame + self._to_model(len(chunk.samples), chunk.rate_hz)

    def _frames(self, ns: int) -> int:
        return ns * self.rate_hz // 1_000_000_000

    def _to_model(self, frames: int, rate_hz: int) -> int:
        # As the resampler rounds, whose frames these are too.
        return (frames * self.rate_hz + rate_hz // 2) // rate_hz

    def _to_device(self, frame: int, rate_hz: int) -> int:
        """The first of the device's frames that is not before `frame`."""
        device_frame = frame * rate_hz // self.rate_hz
        while self._to_model(device_frame, rate_hz) < frame:
            device_frame += 1
        return device_frame
