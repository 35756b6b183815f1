import warnings

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_score, recall_score, roc_auc_score

from train import metrics


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


def test_thresholds_are_the_lowest_that_reach_the_precision(table) -> None:
    scores, truth = table
    chosen = metrics.choose_thresholds(scores, truth, precision=0.6, least_positives=1)
    assert chosen.own.all()
    for label in range(7):
        # The slow obvious way: every score as a threshold.
        reached = []
        for limit in np.unique(scores[:, label]):
            found = scores[:, label] >= limit
            if truth[found, label].mean() >= 0.6:
                reached.append(limit)
        found = scores[:, label] >= chosen.values[label]
        if reached:
            np.testing.assert_array_equal(found, scores[:, label] >= min(reached))
        else:
            assert found.any()


def test_rare_classes_take_the_common_threshold(table) -> None:
    scores, truth = table
    truth = truth.copy()
    truth[:, 0] = False
    truth[3, 0] = True
    chosen = metrics.choose_thresholds(scores, truth, precision=0.5, least_positives=5)
    assert chosen.own.tolist() == [False] + [True] * 6
    assert chosen.values[0] == chosen.common
    found = scores >= chosen.common
    assert truth[found].mean() >= 0.5


def test_a_recording_scores_its_highest_window() -> None:
    scores = np.array([[0.1, 0.5], [0.4, 0.2], [0.3, 0.3]], np.float32)
    highest = metrics.recording_scores(scores, np.array([1, 1, 0]), 2)
    np.testing.assert_array_equal(highest, np.array([[0.3, 0.3], [0.4, 0.5]], np.float32))


def test_the_interval_holds_the_auc_and_narrows_with_more_rows() -> None:
    rng = np.random.default_rng(0)

    def interval(rows: int) -> tuple[float, float, float]:
        truth = rng.random((rows, 3)) < 0.3
        scores = truth * 0.5 + rng.random(truth.shape)
        return (metrics.macro(metrics.roc_auc(scores, truth)), *metrics.bootstrap_macro_auc(scores, truth, seed=1))

    few, many = interval(60), interval(1500)
    assert few[1] < few[0] < few[2]
    assert many[1] < many[0] < many[2]
    assert many[2] - many[1] < 0.5 * (few[2] - few[1])
    assert np.isnan(metrics.bootstrap_macro_auc(np.ones((2, 1)), np.ones((2, 1), bool), seed=1)).all()
