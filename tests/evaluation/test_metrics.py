from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_score, recall_score, roc_auc_score

from birdwatch.evaluation import metrics
from birdwatch.evaluation.metrics import average_precision, evaluate, macro_scores, roc_auc


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5000001, 0.9, 1.0])), min_size=2))
def test_areas_are_scikit_learns_with_any_ties(pairs):
    truth = np.array([true for true, _ in pairs])[:, None]
    scores = np.array([score for _, score in pairs])[:, None]
    (precision,), (area,) = average_precision(scores, truth), roc_auc(scores, truth)
    if truth.any():
        assert precision == pytest.approx(average_precision_score(truth, scores), abs=1e-12)
    else:
        assert np.isnan(precision)
    if truth.any() and not truth.all():
        assert area == pytest.approx(roc_auc_score(truth[:, 0], scores), abs=1e-12)
    else:
        assert np.isnan(area)


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
    assert macro_scores(found)["auc"] == pytest.approx(roc_auc_score(truth[:, :4], scores[:, :4], average="macro"))


def test_undefined_metrics_are_none():
    (score,) = evaluate(["a"], np.zeros((3, 1), bool), np.zeros((3, 1)), np.zeros((3, 1), bool))
    assert (score.precision, score.recall, score.average_precision, score.auc) == (None, None, None, None)
    assert macro_scores([score]) == {"precision": None, "recall": None, "average_precision": None, "auc": None}


@pytest.fixture(params=["smooth", "many ties"])
def table(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    truth = rng.random((200, 7)) < 0.2
    scores = (0.4 * truth + rng.random(truth.shape)).astype(np.float32)
    return (np.round(scores * 5) / 5 if request.param == "many ties" else scores), truth


def test_roc_auc_and_average_precision_equal_scikit_learn(table) -> None:
    scores, truth = table
    np.testing.assert_allclose(metrics.roc_auc(scores, truth), roc_auc_score(truth, scores, average=None))
    expected = average_precision_score(truth, scores, average=None)
    np.testing.assert_allclose(metrics.average_precision(scores, truth), expected)
    assert metrics.macro(metrics.roc_auc(scores, truth)) == pytest.approx(roc_auc_score(truth, scores))
    assert metrics.macro(metrics.average_precision(scores, truth)) == pytest.approx(expected.mean())


def test_classes_that_cannot_be_judged_do_not_spoil_the_mean(table) -> None:
    scores, truth = table
    truth = truth.copy()
    truth[:, 1] = True
    truth[:, 4] = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        auc = metrics.roc_auc(scores, truth)
        precision = metrics.average_precision(scores, truth)
    assert np.isnan(auc[[1, 4]]).all()
    assert np.flatnonzero(np.isnan(precision)).tolist() == [4]
    kept = [0, 2, 3, 5, 6]
    assert metrics.macro(auc) == pytest.approx(roc_auc_score(truth[:, kept], scores[:, kept]))
    assert np.isnan(metrics.macro(np.array([np.nan])))


def test_top_1_is_the_share_of_first_guesses() -> None:
    scores = np.array([[0.9, 0.1], [0.2, 0.3], [0.6, 0.5]])
    assert metrics.top_1(scores, np.array([0, 1, 1])) == pytest.approx(2 / 3)
    assert np.isnan(metrics.top_1(scores[:0], np.zeros(0, np.int64)))


def test_precision_and_recall_equal_scikit_learn(table) -> None:
    scores, truth = table
    limits = np.linspace(0.3, 0.9, 7)
    precision, recall = metrics.precision_recall(scores, truth, limits)
    found = scores >= limits
    np.testing.assert_allclose(precision, precision_score(truth, found, average=None))
    np.testing.assert_allclose(recall, recall_score(truth, found, average=None))
    nothing, _ = metrics.precision_recall(scores, truth, np.full(7, 9.0))
    assert np.isnan(nothing).all()


def test_a_recording_scores_its_highest_window() -> None:
    scores = np.array([[0.1, 0.5], [0.4, 0.2], [0.3, 0.3]], np.float32)
    highest = metrics.recording_scores(scores, np.array([1, 1, 0]), 2)
    np.testing.assert_array_equal(highest, np.array([[0.3, 0.3], [0.4, 0.5]], np.float32))
