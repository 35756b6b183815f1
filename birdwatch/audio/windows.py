"""Overlapping windows of a stream of blocks: no window spans a gap, and frames that no window holds are counted."""

from __future__ import annotations

import math

import numpy as np

from birdwatch.audio.ring import RingBuffer
from birdwatch.audio.types import AudioBlock, Window
from birdwatch.errors import ConfigError

__all__ = ["MIN_TAIL_S", "Windower", "hop_frames_of"]

# The padded image of a tail with less audio than this mostly shows the padding.
MIN_TAIL_S = 0.5


def hop_frames_of(hop_s: float | None, window_frames: int, rate_hz: int) -> int:
    """Frames from one window's start to the next's; None is half a window (2.5 s for a window of 5 s)."""
    if hop_s is None:
        return max(1, window_frames // 2)
    frames = round(hop_s * rate_hz) if math.isfinite(hop_s) else 0
    if not 1 <= frames <= window_frames:
        raise ConfigError(
            f"hop is {hop_s:g} s; it must be more than 0 and at most the model's window of "
            f"{window_frames / rate_hz:g} s, or audio between two windows would not be scored"
        )
    return frames


class Windower:
    """Cuts a stream into windows of `window_frames`, one each `hop_frames`.

    Windows start at the stream's first frame, and at the first frame after each gap. What is left behind the last full
    window before a gap or the end is padded with zeros if at least `min_tail_frames` of it are audio, or if it is the
    whole stream; what is shorter is counted in `unscored_frames`.
    """

    def __init__(self, window_frames: int, hop_frames: int, *, min_tail_frames: int = 1) -> None:
        if not 1 <= hop_frames <= window_frames:
            raise ValueError(f"hop_frames must be 1 to window_frames ({window_frames}); got {hop_frames}")
        self.window_frames = window_frames
        self.hop_frames = hop_frames
        self.min_tail_frames = min_tail_frames
        self.unscored_frames = 0
        # Blocks are copied in a hop at a time, so a window and a hop are all that is ever needed at once.
        self._ring = RingBuffer(window_frames + hop_frames)
        self._origin: int | None = None
        self._begun = False
        self._next_start = 0

    @property
    def lacking_frames(self) -> int:
        """Frames that complete the next window."""
        if self._origin is None:
            return self.window_frames
        return self._next_start + self.window_frames - self._ring.end_frame

    def push(self, block: AudioBlock) -> list[Window]:
        """The windows that `block` completes, in order; before them the padded tail before a gap."""
        out: list[Window] = []
        if not len(block.samples):
            return out
        if self._origin is None:
            self._restart(block.start_frame)
        elif block.start_frame != self._ring.end_frame:
            missing = block.start_frame - self._ring.end_frame
            if missing < 0:
                raise ValueError(f"a block starts at frame {block.start_frame}, before {self._ring.end_frame}")
            out += self.finish()
            self._restart(block.start_frame)
        for offset in range(0, len(block.samples), self.hop_frames):
            self._ring.append(block.samples[offset : offset + self.hop_frames])
            while self._next_start + self.window_frames <= self._ring.end_frame:
                out.append(self._window(self.window_frames))
        return out

    def finish(self) -> list[Window]:
        """The padded tail, if there is one to score; a later `push` begins afresh."""
        if self._origin is None:
            return []
        origin, self._origin = self._origin, None
        end = self._ring.end_frame
        first, self._begun = not self._begun, True
        only = self._next_start == origin
        covered = origin if only else self._next_start - self.hop_frames + self.window_frames
        if covered >= end:
            return []
        if not (only and first) and end - self._next_start < self.min_tail_frames:
            self.unscored_frames += end - covered
            return []
        return [self._window(end - self._next_start)]

    def _restart(self, frame: int) -> None:
        self._ring.restart(frame)
        self._origin = self._next_start = frame

    def _window(self, valid_frames: int) -> Window:
        start = self._next_start
        samples = self._ring.read(start, valid_frames)
        if valid_frames < self.window_frames:
            samples = np.pad(samples, (0, self.window_frames - valid_frames))
        samples.flags.writeable = False
        self._next_start += self.hop_frames
        return Window(samples, start, valid_frames)
