"""How good a table is against somebody's labels: precision, recall, average precision and ROC AUC of each species.

Plain NumPy; the tests hold them against scikit-learn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["SpeciesScore", "average_precision", "evaluate", "macro", "roc_auc"]

Truth = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SpeciesScore:
    """One species. true_positives ...: units (recordings or segments) at or over the threshold.

    What cannot be told is None: recall, average precision and AUC without a positive, AUC without a negative, precision
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
    found = []
    for column, label in enumerate(labels):
        true, score, said = truth[:, column], scores[:, column], claimed[:, column]
        positives, hits, false = int(true.sum()), int((true & said).sum()), int((~true & said).sum())
        found.append(
            SpeciesScore(
                label,
                positives,
                hits,
                false,
                hits / (hits + false) if hits + false else None,
                hits / positives if positives else None,
                average_precision(true, score),
                roc_auc(true, score),
            )
        )
    return found


def average_precision(truth: Truth, scores: Scores) -> float | None:
    """The sum of precision times the gain in recall over falling thresholds, ties as one step; None without a positive.

    As scikit-learn's `average_precision_score`: no interpolation.
    """
    positives = int(truth.sum())
    if not positives:
        return None
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(truth[order])
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # the end of each run of equal scores
    precision = hits[last] / (last + 1)
    recall = hits[last] / positives
    return float(np.sum(precision * np.diff(recall, prepend=0.0)))


def roc_auc(truth: Truth, scores: Scores) -> float | None:
    """The chance that a positive scores higher than a negative, ties counting half; None where one is missing."""
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return None
    order = np.sort(scores)
    below = np.searchsorted(order, scores[truth], "left") + np.searchsorted(order, scores[truth], "right")
    ranks = (below + 1) / 2  # mid-ranks from 1
    return float((ranks.sum() - positives * (positives + 1) / 2) / (positives * negatives))


def macro(scores: Sequence[SpeciesScore]) -> Mapping[str, float | None]:
    """Means over species, each over those for which it can be told.

    `auc` is the competition's: the mean over the classes that have a positive.
    """

    def mean(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known else None

    return {
        "precision": mean([score.precision for score in scores]),
        "recall": mean([score.recall for score in scores]),
        "average_precision": mean([score.average_precision for score in scores]),
        "auc": mean([score.auc for score in scores]),
    }
