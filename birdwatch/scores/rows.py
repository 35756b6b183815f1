"""Rows shorter than a window: a model with segments scores parts of its window, and overlapping windows share parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from birdwatch.audio.types import FloatArray, Window
from birdwatch.model.types import WindowScores

__all__ = ["RowMean", "rows_of"]


def rows_of(window: Window, scores: FloatArray, length: int) -> list[WindowScores]:
    """The scores `(segments, classes)` of a window as rows of `length` frames; those of padding are left out."""
    return [
        WindowScores(window.start_frame + i * length, min(length, window.valid_frames - i * length), row)
        for i, row in enumerate(scores)
        if i * length < window.valid_frames
    ]


@dataclass(slots=True)
class _Held:
    valid_frames: int
    total: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
    count: int


class RowMean:
    """The mean over the windows that score the same stretch: `push` each window's rows in order, `finish` at the end.

    hop_frames: from one window's start to the next's, at least. A row is given out once no later window can begin at or
    before it.
    """

    def __init__(self, hop_frames: int) -> None:
        self._hop_frames = hop_frames
        self._held: dict[int, _Held] = {}

    def before(self, frame: int) -> list[WindowScores]:
        """The rows that start before `frame`, in order; no window that starts before it comes any more."""
        ready = sorted(start for start in self._held if start < frame)
        return [self._given(start) for start in ready]

    def push(self, rows: Sequence[WindowScores]) -> list[WindowScores]:
        """The rows that are complete with a window's rows, in order; the window's first row is one of them."""
        start = rows[0].start_frame
        done = self.before(start)
        for row in rows:
            held = self._held.setdefault(row.start_frame, _Held(0, np.zeros(len(row.scores)), 0))
            held.valid_frames = max(held.valid_frames, row.valid_frames)
            held.total += row.scores
            held.count += 1
        return done + self.before(start + self._hop_frames)

    def finish(self) -> list[WindowScores]:
        """The rows that are left."""
        return [self._given(start) for start in sorted(self._held)]

    def _given(self, start: int) -> WindowScores:
        held = self._held.pop(start)
        return WindowScores(start, held.valid_frames, (held.total / held.count).astype(np.float32))
