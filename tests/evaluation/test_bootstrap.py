from __future__ import annotations

import numpy as np
import pytest

from birdwatch.evaluation.bootstrap import group_interval
from birdwatch.evaluation.metrics import macro, roc_auc


def test_over_single_rows_it_is_the_normal_approximation():
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    found = group_interval(range(400), lambda rows: float(values[rows].mean()), seed=2, rounds=2000)
    half = 1.96 * values.std(ddof=1) / 20
    assert found.low == pytest.approx(values.mean() - half, abs=0.03)
    assert found.high == pytest.approx(values.mean() + half, abs=0.03)
    assert found.rounds == 2000


def test_rows_of_one_recordist_stay_together():
    # Ten recordists of forty equal rows each carry ten independent values, not four hundred.
    values = np.repeat(np.random.default_rng(3).normal(0.0, 1.0, 10), 40)
    recordists = np.repeat(np.arange(10), 40).tolist()

    def mean(rows):
        return float(values[rows].mean())

    grouped = group_interval(recordists, mean, seed=4)
    single = group_interval(range(400), mean, seed=4)
    ratio = (grouped.high - grouped.low) / (single.high - single.low)
    assert ratio == pytest.approx(np.sqrt(40), rel=0.2)


def test_rounds_in_which_it_is_not_defined_are_left_out():
    found = group_interval("ab", lambda rows: 1.0 if 0 in rows else float("nan"), seed=0, rounds=400)
    assert found.rounds == pytest.approx(300, abs=40)
    assert (found.low, found.high) == (1.0, 1.0)
    assert group_interval([], lambda rows: 0.0, seed=0).rounds == 0
    assert str(found) == "1.000 to 1.000"


def test_the_same_seed_gives_the_same_interval():
    values = np.arange(30.0)
    one, two = (group_interval(range(30), lambda rows: float(values[rows].mean()), seed=7, rounds=50) for _ in range(2))
    assert one == two


def test_the_interval_of_rows_holds_the_auc_and_narrows_with_more_rows() -> None:
    rng = np.random.default_rng(0)

    def of_rows(scores: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
        found = group_interval(
            range(len(scores)), lambda rows: macro(roc_auc(scores[rows], truth[rows])), seed=1, rounds=200
        )
        return found.low, found.high

    def interval(rows: int) -> tuple[float, float, float]:
        truth = rng.random((rows, 3)) < 0.3
        scores = truth * 0.5 + rng.random(truth.shape)
        return (macro(roc_auc(scores, truth)), *of_rows(scores, truth))

    few, many = interval(60), interval(1500)
    assert few[1] < few[0] < few[2]
    assert many[1] < many[0] < many[2]
    assert many[2] - many[1] < 0.5 * (few[2] - few[1])
    assert np.isnan(of_rows(np.ones((2, 1)), np.ones((2, 1), bool))).all()
