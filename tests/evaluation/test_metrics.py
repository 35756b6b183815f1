from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_score, recall_score, roc_auc_score

from birdwatch.evaluation.metrics import average_precision, evaluate, macro, roc_auc


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5000001, 0.9, 1.0])), min_size=2))
def test_areas_are_scikit_learns_with_any_ties(pairs):
    truth = np.array([true for true, _ in pairs])
    scores = np.array([score for _, score in pairs])
    if truth.any():
        assert average_precision(truth, scores) == pytest.approx(average_precision_score(truth, scores), abs=1e-12)
    else:
        assert average_precision(truth, scores) is None
    if truth.any() and not truth.all():
        assert roc_auc(truth, scores) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    else:
        assert roc_auc(truth, scores) is None


def test_species_and_means_are_scikit_learns():
    rng = np.random.default_rng(8)
    truth = rng.random((300, 5)) < [0.3, 0.1, 0.02, 0.5, 0.0]
    scores = np.clip(truth * 0.3 + rng.random((300, 5)), 0, 1).round(2)
    claimed = scores >= 0.8
    found = evaluate(list("abcde"), truth, scores, claimed)
    for column, score in enumerate(found[:4]):
        assert score.precision == pytest.approx(precision_score(truth[:, column], claimed[:, column]))
        assert score.recall == pytest.approx(recall_score(truth[:, column], claimed[:, column]))
    assert (found[4].positives, found[4].recall, found[4].auc) == (0, None, None)
    assert found[4].false_positives == claimed[:, 4].sum()
    # The competition leaves out the classes without a positive, then takes the plain mean.
    assert macro(found)["auc"] == pytest.approx(roc_auc_score(truth[:, :4], scores[:, :4], average="macro"))


def test_what_cannot_be_told_is_none():
    (score,) = evaluate(["a"], np.zeros((3, 1), bool), np.zeros((3, 1)), np.zeros((3, 1), bool))
    assert (score.precision, score.recall, score.average_precision, score.auc) == (None, None, None, None)
    assert macro([score]) == {"precision": None, "recall": None, "average_precision": None, "auc": None}
