"""Blends the scores of overlapping windows and several models into the rows of a submission.

Arrays are float32 `(rows, classes)`, rows of one recording in order of time, scores 0..1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from birdwatch.audio.types import FloatArray
from birdwatch.scores.aggregation import Overlap

__all__ = ["UNBLENDED", "Blend", "Blending", "blended", "extended", "power_mean", "smoothed_over_time"]

Blend = Literal["mean", "power", "rank"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blending:
    """How the rows of a submission are made of window scores.

    models: further models, the best first; how: what is made of all models' scores, with the `power` of a power mean.
    overlap: see `SegmentMaximum` and `SegmentMean`. kernel: weights over neighbouring rows, an odd number of them.
    budget_s: seconds in which another model may begin, 0 for no limit. row_s: seconds of a row, 0 for the model's own.
    """

    models: tuple[str, ...] = ()
    how: Blend = "mean"
    power: float = 2.0
    overlap: Overlap = "max"
    kernel: tuple[float, ...] = (1.0,)
    budget_s: float = 0.0
    row_s: float = 0.0


UNBLENDED = Blending()


def smoothed_over_time(scores: FloatArray, kernel: Sequence[float]) -> FloatArray:
    """Each row with its neighbours, weighed by `kernel` (odd, its middle the row's own); edges are repeated."""
    half = len(kernel) // 2
    padded = np.pad(scores, ((half, half), (0, 0)), mode="edge") if len(scores) else scores
    parts = [weight * padded[i : i + len(scores)] for i, weight in enumerate(kernel)]
    return np.asarray(sum(parts) / sum(kernel), np.float32)


def extended(scores: FloatArray, length: int) -> FloatArray:
    """Scores with the last row repeated to `length` rows; zeros where there is none."""
    return np.pad(scores, ((0, length - len(scores)), (0, 0)), mode="edge" if len(scores) else "constant")


def power_mean(scores: Any, power: float) -> Any:
    """The power mean over the first axis of an array or a tensor of scores; a power of 1 is the mean."""
    return scores.mean(0) if power == 1.0 else (scores**power).mean(0) ** (1.0 / power)


def blended(members: Sequence[FloatArray], how: Blend, *, power: float = 2.0) -> FloatArray:
    """One table of several models' `(rows, classes)`.

    mean: of the scores. power: the power mean, which follows the surest member. rank: the mean of each class's ranks
    over all rows, 0..1, for models whose scores are on different scales; only a class's order means anything then.
    """
    table = np.stack(members).astype(np.float64)
    if how == "rank":
        # Imported here: a run without it would load SciPy for nothing.
        from scipy.stats import rankdata

        ranks: npt.NDArray[np.float64] = np.stack([rankdata(member, axis=0) for member in table])
        return np.asarray((ranks.mean(axis=0) - 0.5) / max(table.shape[1], 1), np.float32)
    return np.asarray(power_mean(table, power if how == "power" else 1.0), np.float32)
