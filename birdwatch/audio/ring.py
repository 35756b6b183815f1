"""A ring buffer of samples that is addressed by absolute frame numbers."""

from __future__ import annotations

import numpy as np

from birdwatch.audio.types import FloatArray

__all__ = ["RingBuffer"]


class RingBuffer:
    """Holds the newest `capacity_frames` samples of a stream in memory that is allocated once.

    Frames `[start_frame, end_frame)` can be read; older ones have been overwritten and reading them raises
    IndexError, so that stale audio is never returned for the requested frames.
    """

    def __init__(self, capacity_frames: int) -> None:
        if capacity_frames < 1:
            raise ValueError(f"capacity_frames must be at least 1; got {capacity_frames}")
        self._data = np.zeros(capacity_frames, np.float32)
        self._origin = 0
        self.end_frame = 0

    @property
    def capacity_frames(self) -> int:
        """How many frames it holds at most."""
        return len(self._data)

    @property
    def start_frame(self) -> int:
        """The oldest frame that can still be read."""
        return max(self._origin, self.end_frame - len(self._data))

    def restart(self, frame: int) -> None:
        """Discard everything; the next sample appended is `frame`."""
        self._origin = self.end_frame = frame

    def append(self, samples: FloatArray) -> None:
        """Copy samples `(n,)` in at `end_frame`; the oldest are overwritten."""
        kept = samples[-len(self._data) :]
        position = (self.end_frame + len(samples) - len(kept)) % len(self._data)
        first = min(len(kept), len(self._data) - position)
        self._data[position : position + first] = kept[:first]
        self._data[: len(kept) - first] = kept[first:]
        self.end_frame += len(samples)

    def read(self, start_frame: int, frames: int) -> FloatArray:
        """A copy of samples `[start_frame, start_frame + frames)`."""
        if frames < 0 or start_frame < self.start_frame or start_frame + frames > self.end_frame:
            raise IndexError(
                f"frames {start_frame} to {start_frame + frames} are not held; "
                f"{self.start_frame} to {self.end_frame} are"
            )
        position = start_frame % len(self._data)
        first = min(frames, len(self._data) - position)
        out = np.empty(frames, np.float32)
        out[:first] = self._data[position : position + first]
        out[first:] = self._data[: frames - first]
        return out
