"""Chooses detection thresholds for a target precision on out-of-fold scores of recordings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from birdwatch.evaluation.metrics import PerClass, Scores, Truth

__all__ = ["Thresholds", "choose_thresholds"]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """common: one for all classes. values float64 `(classes,)`: each class's own where `own`, else the common one."""

    common: float
    values: PerClass
    own: npt.NDArray[np.bool_]


def _lowest(scores: npt.NDArray[np.floating], truth: npt.NDArray[np.bool_], precision: float) -> float:
    """The lowest score from which on the precision is reached; where none does, the one with the highest precision."""
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(truth[order])
    last_of_tie = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    reached = hits[last_of_tie] / (last_of_tie + 1)
    good = np.flatnonzero(reached >= precision)
    chosen = last_of_tie[good[-1]] if len(good) else last_of_tie[int(np.argmax(reached))]
    upper = float(ranked[chosen])
    # Half way to the next lower score: a threshold equal to the score would depend on its last bit.
    return (upper + float(ranked[chosen + 1])) / 2 if chosen + 1 < len(ranked) else upper


def choose_thresholds(scores: Scores, truth: Truth, *, precision: float, least_positives: int) -> Thresholds:
    """Thresholds that reach `precision` on out-of-fold scores of recordings, the recall as high as that allows.

    A class with fewer than `least_positives` positives has too few for one of its own and takes the common one,
    which reaches the precision over all classes together.
    """
    common = _lowest(scores.ravel(), truth.ravel(), precision)
    own = truth.sum(axis=0) >= least_positives
    values = np.full(truth.shape[1], common)
    for label in np.flatnonzero(own):
        values[label] = _lowest(scores[:, label], truth[:, label], precision)
    return Thresholds(common, values, own)
