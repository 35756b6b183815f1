"""Metrics of multi-label scores, in NumPy: what cannot be judged is NaN for a class and left out of a mean.

Scores are float `(rows, classes)`, truth boolean `(rows, classes)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from birdwatch.audio.types import FloatArray

__all__ = [
    "Thresholds",
    "average_precision",
    "bootstrap_macro_auc",
    "choose_thresholds",
    "macro",
    "precision_recall",
    "recording_scores",
    "roc_auc",
    "top_1",
]

Scores = npt.NDArray[np.floating]
Truth = npt.NDArray[np.bool_]
PerClass = npt.NDArray[np.float64]


def roc_auc(scores: Scores, truth: Truth) -> PerClass:
    """Area under the ROC curve of each class `(classes,)`, ties counting half; NaN without a positive or a negative."""
    positives = truth.sum(axis=0).astype(np.float64)
    negatives = len(truth) - positives
    ranks = rankdata(scores, axis=0)
    wins = np.where(truth, ranks, 0.0).sum(axis=0) - positives * (positives + 1) / 2
    pairs = positives * negatives
    return np.asarray(np.divide(wins, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0))


def average_precision(scores: Scores, truth: Truth) -> PerClass:
    """Average precision of each class `(classes,)`, tied scores counted as one step; NaN without a positive."""
    result = np.full(truth.shape[1], np.nan)
    for label in np.flatnonzero(truth.any(axis=0)):
        order = np.argsort(-scores[:, label], kind="stable")
        ranked, hits = scores[order, label], np.cumsum(truth[order, label])
        last_of_tie = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
        found = hits[last_of_tie]
        precision = found / (last_of_tie + 1)
        result[label] = np.sum(np.diff(found, prepend=0) * precision) / found[-1]
    return result


def macro(values: PerClass) -> float:
    """The mean over the classes that can be judged; NaN if none can. Of `average_precision` it is the cmAP."""
    judged = values[~np.isnan(values)]
    return float(judged.mean()) if len(judged) else float("nan")


def top_1(scores: Scores, primary: npt.NDArray[np.int64]) -> float:
    """The share of rows whose highest score is their primary label `(rows,)`; NaN without rows."""
    return float((scores.argmax(axis=1) == primary).mean()) if len(scores) else float("nan")


def precision_recall(scores: Scores, truth: Truth, thresholds: npt.NDArray[np.floating]) -> tuple[PerClass, PerClass]:
    """Precision and recall of each class `(classes,)` at its threshold; NaN where nothing is found or to be found."""
    found = scores >= thresholds
    hits = (found & truth).sum(axis=0).astype(np.float64)
    with np.errstate(invalid="ignore"):
        return hits / found.sum(axis=0), hits / truth.sum(axis=0)


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
    # Half way to the next lower score: a threshold on the score itself would hang on its last bit.
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


def recording_scores(scores: FloatArray, recording: npt.NDArray[np.int64], count: int) -> FloatArray:
    """The maximum over the windows of each recording: `(count, classes)` of `(windows, classes)`; all have windows."""
    result = np.full((count, scores.shape[1]), -np.inf, np.float32)
    np.maximum.at(result, recording, scores)
    return result


def bootstrap_macro_auc(scores: Scores, truth: Truth, *, seed: int, rounds: int = 200) -> tuple[float, float]:
    """The 2.5 % and 97.5 % quantiles of the macro AUC over resampled rows; NaN where it is never defined."""
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(rounds):
        rows = rng.integers(len(scores), size=len(scores))
        value = macro(roc_auc(scores[rows], truth[rows]))
        if not np.isnan(value):
            values.append(value)
    if not values:
        return float("nan"), float("nan")
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
