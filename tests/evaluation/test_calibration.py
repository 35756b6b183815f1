from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from birdwatch.evaluation.calibration import expected_calibration_error, reliability


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_diagrams_are_scikit_learns(strategy):
    rng = np.random.default_rng(5)
    scores = rng.random(2000) ** 3
    truth = rng.random(2000) < scores**0.7
    found = reliability(truth, scores, bins=8, equal_counts=strategy == "quantile")
    observed, mean = calibration_curve(truth, scores, n_bins=8, strategy=strategy)
    filled = found.count > 0
    np.testing.assert_allclose(found.mean_score[filled], mean, atol=2e-3)
    np.testing.assert_allclose(found.observed[filled], observed, atol=4e-3)
    assert found.count.sum() == 2000


def slow_error(truth, scores, bins):
    """The definition, a bin at a time."""
    total = 0.0
    for number in range(bins):
        low, high = number / bins, (number + 1) / bins
        inside = [
            (score, true)
            for score, true in zip(scores, truth, strict=True)
            if low <= score < high or (score == 1.0 and number == bins - 1)
        ]
        if inside:
            gap = sum(score for score, _ in inside) / len(inside) - sum(true for _, true in inside) / len(inside)
            total += len(inside) / len(scores) * abs(gap)
    return total


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.51, 0.75, 1.0])), min_size=1))
def test_the_error_is_its_definition(pairs):
    truth, scores = np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])
    # Edges of four bins are exact in binary.
    found = expected_calibration_error(reliability(truth, scores, bins=4))
    assert found == pytest.approx(slow_error(truth, scores, 4), abs=1e-12)


def test_calibrated_and_overconfident_scores():
    rng = np.random.default_rng(6)
    scores = rng.random((20000, 2))
    truth = rng.random((20000, 2)) < scores
    assert expected_calibration_error(reliability(truth, scores)) < 0.02
    assert expected_calibration_error(reliability(rng.random((20000, 2)) < 0.3, np.ones((20000, 2)))) == pytest.approx(
        0.7, abs=0.01
    )


def test_what_is_no_score_is_refused():
    with pytest.raises(ValueError, match="0 to 1"):
        reliability(np.array([True]), np.array([np.nan]))
    with pytest.raises(ValueError, match="2 scores for 1"):
        reliability(np.array([True]), np.array([0.5, 0.5]))
    assert np.isnan(expected_calibration_error(reliability(np.zeros(0, bool), np.zeros(0))))
