from __future__ import annotations

import numpy as np
import pytest

from birdwatch.evaluation.bootstrap import group_interval


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
