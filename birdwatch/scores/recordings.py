"""Cuts a live stream's scores into recordings: the maximum over the windows of each minute, or of the whole stream."""

from __future__ import annotations

from birdwatch.model.types import WindowScores
from birdwatch.scores.aggregation import Maximum
from birdwatch.scores.types import RecordingMaximum

__all__ = ["Recordings"]


class Recordings:
    """`push` each window in order of time, `finish` at the end; recordings come out when they are over.

    frames: how long each is, None for one that lasts to the end. A window belongs to the recording in which it starts.
    A stretch without any window has no recording.
    """

    def __init__(self, name: str, classes: int, rate_hz: int, *, frames: int | None) -> None:
        self._name = name
        self._rate_hz = rate_hz
        self._frames = frames
        self._start_frame = 0
        self._maximum = Maximum(classes)

    def push(self, window: WindowScores) -> list[RecordingMaximum]:
        """Take a window's scores `(classes,)` into account."""
        out = self.advance(window.start_frame)
        self._maximum.push(window)
        return out

    def advance(self, frame: int) -> list[RecordingMaximum]:
        """Time has come to `frame`, the start of a window, scored or not: what is over by then comes out."""
        if self._frames is None or frame < self._start_frame + self._frames:
            return []
        out = self.finish(self._start_frame + self._frames)
        self._start_frame = frame // self._frames * self._frames
        return out

    def cut(self, end_frame: int, start_frame: int) -> list[RecordingMaximum]:
        """The recording that is under way, up to `end_frame`; the next begins with `start_frame` at the earliest."""
        out = self.finish(end_frame)
        self._start_frame = max(self._start_frame, start_frame)
        return out

    def finish(self, end_frame: int) -> list[RecordingMaximum]:
        """The recording that is under way, up to `end_frame`."""
        if not self._maximum.windows:
            return []
        maximum, self._maximum = self._maximum, Maximum(len(self._maximum.scores))
        start, self._start_frame = self._start_frame, end_frame
        return [RecordingMaximum(self._name, self._rate_hz, start, end_frame, maximum.windows, maximum.scores)]
