"""Puts chunks in their place: which frames of the stream they are, what is missing before them, and when they were."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from birdwatch.audio.types import AudioBlock, Gap
from birdwatch.live.clock_sync import Timeline
from birdwatch.live.source import Chunk, Stamp
from birdwatch.scores.accounting import Accounting

__all__ = ["Placed", "Placement"]

# A stream that begins within this of being asked for has lost nothing: a device takes a moment to open.
OPENING_NS = 5_000_000_000


@dataclass(frozen=True, slots=True)
class Placed:
    """A chunk as a mono block at its device's rate, and what came before it.

    gaps: at the model's rate. hole: whether frames are missing before the block, so that no window may span the place.
    stepped: whether the wall clock jumped there, so that no event may.
    """

    block: AudioBlock
    gaps: tuple[Gap, ...]
    hole: bool
    stepped: bool


class Placement:
    """Numbers the frames of one stream through any number of devices, rates and gaps.

    `accounting` and `timeline` count frames at `rate_hz`, the model's; frame 0 is at `start`, and frames that were
    never captured are counted too. Blocks are numbered at their device's own rate, so that its samples are consecutive.
    """

    def __init__(self, rate_hz: int, start: Stamp) -> None:
        self.rate_hz = rate_hz
        self.timeline = Timeline(rate_hz, start)
        self.accounting = Accounting()
        self._broken: str | None = "device-lost"
        self._begun = False
        self._device_frame = 0

    @property
    def interrupted(self) -> bool:
        """Whether no device is delivering."""
        return self._broken is not None

    def interrupt(self, reason: str) -> None:
        """The device stopped; how long for is known, and a gap, when the next chunk comes."""
        self._broken = self._broken or reason

    def place(self, chunk: Chunk) -> Placed:
        """Number a chunk's frames, count them, and count what is missing before them."""
        samples, rate_hz = chunk.samples, chunk.rate_hz
        mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)
        gaps = []
        lost, reason, stepped = 0, "", False
        for jump in self.timeline.jumps(self.accounting.end_frame, chunk.stamp):
            frames = jump.ns * self.rate_hz // 1_000_000_000
            if jump.reason == "suspended":
                lost, reason = frames, jump.reason
            else:
                gaps.append(Gap(self.accounting.end_frame, frames, jump.reason))
                stepped = True
        if self._broken is not None:
            lost, reason = self._reopened(chunk), reason or self._broken
            self._broken = None
        else:
            more, why = self._missing(chunk, known=bool(lost))
            lost, reason = lost + more, reason or why
        if lost:
            gaps.append(self._hole(lost, rate_hz, reason))
        block = AudioBlock(np.ascontiguousarray(mono), self._device_frame, rate_hz)
        self._device_frame = block.end_frame
        self.accounting.capture(self._to_model(block.end_frame, rate_hz) - self.accounting.end_frame)
        return Placed(block, tuple(gaps), hole=bool(lost), stepped=stepped)

    def _missing(self, chunk: Chunk, *, known: bool) -> tuple[int, str]:
        """How many frames are missing within a stream that runs, and why."""
        if chunk.lost_frames:
            return self._to_model(chunk.lost_frames, chunk.rate_hz), "queue-full"
        end = self.accounting.end_frame + self._to_model(len(chunk.samples), chunk.rate_hz)
        if chunk.overflow and not known:
            # How much was lost nobody says; the clock does. One frame at least, so that no window spans the place.
            return max(1, self.timeline.frame_at(chunk.stamp.steady_ns) - end), "overflow"
        return (0, "") if known else (self.timeline.observe(end, chunk.stamp), "stall")

    def _reopened(self, chunk: Chunk) -> int:
        """How many frames are missing between the last device's last frame and a new one's first."""
        rate_hz, end = chunk.rate_hz, self.accounting.end_frame
        began_ns = chunk.stamp.steady_ns - len(chunk.samples) * 1_000_000_000 // rate_hz
        first, self._begun = not self._begun, True
        self._device_frame = self._to_device(end, rate_hz)
        if first and abs(began_ns - self.timeline.steady_ns(end)) < OPENING_NS:
            self.timeline.start_at(end, began_ns)
            return 0
        # At another rate the first frame may lie between two of the last one's: that place is a hole too.
        return max(1, self.timeline.frame_at(began_ns) - end)

    def _hole(self, frames: int, rate_hz: int, reason: str) -> Gap:
        """Skip `frames`, and up to one frame of the device more: a block begins with a whole one."""
        start = self.accounting.end_frame
        self._device_frame = self._to_device(start + frames, rate_hz)
        gap = Gap(start, self._to_model(self._device_frame, rate_hz) - start, reason)
        self.accounting.hole(gap.frames)
        self.timeline.rebase(self.accounting.end_frame)
        return gap

    def _to_model(self, frames: int, rate_hz: int) -> int:
        # As the resampler rounds, whose frames these are too.
        return (frames * self.rate_hz + rate_hz // 2) // rate_hz

    def _to_device(self, frame: int, rate_hz: int) -> int:
        """The first of the device's frames that is not before `frame`."""
        device_frame = frame * rate_hz // self.rate_hz
        while self._to_model(device_frame, rate_hz) < frame:
            device_frame += 1
        return device_frame
