"""Metrics of multi-label scores; what is not defined for a class is NaN and left out of a mean.

Scores are float `(rows, classes)`, truth boolean `(rows, classes)`; rows are windows, segments or recordings. The tests
hold them against scikit-learn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from birdwatch.audio.types import FloatArray

__all__ = [
    "PerClass",
    "Scores",
    "SpeciesScore",
    "Truth",
    "average_precision",
    "evaluate",
    "macro",
    "macro_scores",
    "precision_recall",
    "recording_scores",
    "roc_auc",
    "top_1",
]

Scores = npt.NDArray[np.floating]
Truth = npt.NDArray[np.bool_]
PerClass = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SpeciesScore:
    """One species. true_positives ...: units (recordings or segments) at or over the threshold.

    What is not defined is None: recall, average precision and AUC without a positive, AUC without a negative, precision
    where nothing was claimed.
    """

    label: str
    positives: int
    true_positives: int
    false_positives: int
    precision: float | None
    recall: float | None
    average_precision: float | None
    auc: float | None


def evaluate(labels: Sequence[str], truth: Truth, scores: Scores, claimed: Truth) -> list[SpeciesScore]:
    """The scores of each species. truth, scores, claimed: `(units, labels)`; claimed: what the table calls present."""
    hits, false = (truth & claimed).sum(axis=0).tolist(), (~truth & claimed).sum(axis=0).tolist()
    positives = truth.sum(axis=0).tolist()
    precision_at, area = average_precision(scores, truth).tolist(), roc_auc(scores, truth).tolist()
    return [
        SpeciesScore(
            label,
            positives[i],
            hits[i],
            false[i],
            hits[i] / (hits[i] + false[i]) if hits[i] + false[i] else None,
            hits[i] / positives[i] if positives[i] else None,
            _defined(precision_at[i]),
            _defined(area[i]),
        )
        for i, label in enumerate(labels)
    ]


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else value


def macro_scores(scores: Sequence[SpeciesScore]) -> Mapping[str, float | None]:
    """Means over species, each over those for which it is defined; `auc` is the competition's."""

    def mean(values: Sequence[float | None]) -> float | None:
        return _defined(macro(np.array(values, np.float64)))  # None becomes NaN

    return {
        "precision": mean([score.precision for score in scores]),
        "recall": mean([score.recall for score in scores]),
        "average_precision": mean([score.average_precision for score in scores]),
        "auc": mean([score.auc for score in scores]),
    }


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
    """The mean over the classes for which it is defined; NaN if for none. Of `average_precision` it is the cmAP."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def top_1(scores: Scores, primary: npt.NDArray[np.int64]) -> float:
    """The share of rows whose highest score is their primary label `(rows,)`; NaN without rows."""
    return float((scores.argmax(axis=1) == primary).mean()) if len(scores) else float("nan")


def precision_recall(scores: Scores, truth: Truth, thresholds: npt.NDArray[np.floating]) -> tuple[PerClass, PerClass]:
    """Precision and recall of each class `(classes,)` at its threshold; NaN where nothing is found or to be found."""
    found = scores >= thresholds
    hits = (found & truth).sum(axis=0).astype(np.float64)
    with np.errstate(invalid="ignore"):
        return hits / found.sum(axis=0), hits / truth.sum(axis=0)


def recording_scores(scores: FloatArray, recording: npt.NDArray[np.int64], count: int) -> FloatArray:
    """The maximum over the windows of each recording: `(count, classes)` of `(windows, classes)`; all have windows."""
    result = np.full((count, scores.shape[1]), -np.inf, np.float32)
    np.maximum.at(result, recording, scores)
    return result
