"""From the scores of windows to those of recordings and segments, and to what counts as present."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from birdwatch.audio import Detection, FloatArray, WindowScores
from birdwatch.model import Manifest

__all__ = ["Maximum", "detections", "segment_scores", "thresholds"]


class Maximum:
    """The running maximum over windows: `push` each, read `scores` `(classes,)` and `windows` at any time."""

    def __init__(self, classes: int) -> None:
        self.scores: FloatArray = np.zeros(classes, np.float32)
        self.windows = 0

    def push(self, window: WindowScores) -> None:
        """Take one more window into account."""
        np.maximum(self.scores, window.scores, out=self.scores)
        self.windows += 1


def thresholds(manifest: Manifest, override: float | None = None) -> FloatArray:
    """The score from which each class counts as present, float32 `(classes,)`; `override` for all of them."""
    values = [manifest.threshold_of(code) if override is None else override for code in manifest.codes]
    return np.array(values, np.float32)


def detections(window: WindowScores, limits: FloatArray) -> list[Detection]:
    """The classes at or over their threshold in one window, in label order. limits: float32 `(classes,)`."""
    end = window.start_frame + window.valid_frames
    return [
        Detection(int(label), float(window.scores[label]), float(limits[label]), window.start_frame, end)
        for label in np.flatnonzero(window.scores >= limits)
    ]


def segment_scores(
    windows: Iterable[WindowScores], *, segment_frames: int, classes: int, start_frame: int = 0
) -> npt.NDArray[np.float32]:
    """The scores of consecutive segments `(segments, classes)`, the competition's rows.

    A segment's score is the maximum over the windows of which at least half lies inside it. With a hop of one
    segment that is exactly one window.
    """
    rows: list[FloatArray] = []
    for window in windows:
        offset = window.start_frame - start_frame
        # |offset - k * segment| <= segment / 2: one segment, or two where the window straddles them equally.
        first = max(0, -((segment_frames // 2 - offset) // segment_frames))
        last = (offset + segment_frames // 2) // segment_frames
        for segment in range(first, last + 1):
            # The segment behind the last audio is no segment: its start must lie inside the window's audio.
            if segment * segment_frames >= offset + window.valid_frames:
                continue
            while len(rows) <= segment:
                rows.append(np.zeros(classes, np.float32))
            np.maximum(rows[segment], window.scores, out=rows[segment])
    return np.stack(rows) if rows else np.zeros((0, classes), np.float32)
