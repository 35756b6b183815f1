"""Whether scores are probabilities: reliability diagrams and the expected calibration error.

Guo et al., On Calibration of Modern Neural Networks (ICML 2017), for binary decisions: each score of a class in a unit
is one forecast.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Reliability", "expected_calibration_error", "reliability"]


@dataclass(frozen=True, slots=True)
class Reliability:
    """A reliability diagram of `(bins,)`; what is not defined for an empty bin is NaN.

    edges: `(bins + 1,)` of the scores. count: forecasts. mean_score: of them. observed: the share that came true.
    """

    edges: npt.NDArray[np.float64]
    count: npt.NDArray[np.int64]
    mean_score: npt.NDArray[np.float64]
    observed: npt.NDArray[np.float64]


def reliability(
    truth: npt.NDArray[np.bool_], scores: npt.NDArray[np.floating], *, bins: int = 10, equal_counts: bool = False
) -> Reliability:
    """The reliability diagram of scores in 0..1 against truth, both of any one shape.

    equal_counts: bins that hold as many forecasts each instead of bins of one width; most scores of a bird classifier
    are near 0, where equal widths say little. A score on an edge lies in the bin above, 1 in the last. Raises
    ValueError for scores outside 0..1 or NaN.
    """
    flat, true = np.ravel(scores).astype(np.float64), np.ravel(truth)
    if flat.shape != true.shape:
        raise ValueError(f"{len(flat)} scores for {len(true)} truths")
    if not ((flat >= 0) & (flat <= 1)).all():
        raise ValueError("scores must lie in 0 to 1")
    edges = np.linspace(0.0, 1.0, bins + 1)
    if equal_counts and len(flat):
        edges = np.unique(np.quantile(flat, edges))
        edges[0], edges[-1] = 0.0, 1.0
        edges = np.array([0.0, 1.0]) if len(edges) < 2 else edges
    bins = len(edges) - 1
    where = np.clip(np.searchsorted(edges, flat, side="right") - 1, 0, bins - 1)
    count = np.bincount(where, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(where, weights=flat, minlength=bins) / count
        observed = np.bincount(where, weights=true, minlength=bins) / count
    return Reliability(edges, count, mean, observed)


def expected_calibration_error(diagram: Reliability) -> float:
    """The mean gap between score and observed share over the bins, weighted by their forecasts; NaN without any."""
    filled = diagram.count > 0
    if not filled.any():
        return float("nan")
    gap = np.abs(diagram.mean_score[filled] - diagram.observed[filled])
    return float(np.average(gap, weights=diagram.count[filled]))
