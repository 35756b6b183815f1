"""From the scores of overlapping windows and several models to the rows of a submission.

Arrays are float32 `(segments, classes)`, segments of one recording in order of time, scores 0..1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from birdwatch.audio.types import FloatArray
from birdwatch.model.types import WindowScores

__all__ = ["Blend", "averaged_segments", "blended", "smoothed_over_time"]

Blend = Literal["mean", "power", "rank"]


def averaged_segments(
    windows: Sequence[WindowScores], *, window_frames: int, segment_frames: int, classes: int
) -> FloatArray:
    """Each segment's mean over the windows that overlap it, weighed by the frames that they share.

    The last segment ends where the last window's own frames do.
    """
    end = max((window.start_frame + window.valid_frames for window in windows), default=0)
    count = -(-end // segment_frames)
    total, weight = np.zeros((count, classes)), np.zeros(count)
    for window in windows:
        first = window.start_frame // segment_frames
        for number in range(first, min(count, -(-(window.start_frame + window_frames) // segment_frames))):
            start = max(window.start_frame, number * segment_frames)
            shared = min(window.start_frame + window_frames, (number + 1) * segment_frames) - start
            total[number] += shared * window.scores
            weight[number] += shared
    return (total / np.maximum(weight, 1.0)[:, None]).astype(np.float32)


def smoothed_over_time(scores: FloatArray, kernel: Sequence[float]) -> FloatArray:
    """Each segment with its neighbours, weighed by `kernel` (odd, its middle the segment's own); edges are repeated."""
    half = len(kernel) // 2
    padded = np.pad(scores, ((half, half), (0, 0)), mode="edge") if len(scores) else scores
    parts = [weight * padded[i : i + len(scores)] for i, weight in enumerate(kernel)]
    return np.asarray(sum(parts) / sum(kernel), np.float32)


def blended(members: Sequence[FloatArray], how: Blend, *, power: float = 2.0) -> FloatArray:
    """One table of several models' `(rows, classes)`.

    mean: of the scores. power: the power mean, which follows the surest member. rank: the mean of each class's ranks
    over all rows, 0..1, for models whose scores are on different scales; only a class's order means anything then.
    """
    table = np.stack(members).astype(np.float64)
    if how == "power":
        return np.asarray((table**power).mean(axis=0) ** (1.0 / power), np.float32)
    if how == "rank":
        ranks: npt.NDArray[np.float64] = np.stack([rankdata(member, axis=0) for member in table])
        return np.asarray((ranks.mean(axis=0) - 0.5) / max(table.shape[1], 1), np.float32)
    return np.asarray(table.mean(axis=0), np.float32)
