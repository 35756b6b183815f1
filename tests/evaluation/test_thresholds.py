import numpy as np
import pytest

from birdwatch.evaluation import thresholds


@pytest.fixture(params=["smooth", "many ties"])
def table(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    truth = rng.random((200, 7)) < 0.2
    scores = (0.4 * truth + rng.random(truth.shape)).astype(np.float32)
    return (np.round(scores * 5) / 5 if request.param == "many ties" else scores), truth


def test_thresholds_are_the_lowest_that_reach_the_precision(table) -> None:
    scores, truth = table
    chosen = thresholds.choose_thresholds(scores, truth, precision=0.6, least_positives=1)
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
    chosen = thresholds.choose_thresholds(scores, truth, precision=0.5, least_positives=5)
    assert chosen.own.tolist() == [False] + [True] * 6
    assert chosen.values[0] == chosen.common
    found = scores >= chosen.common
    assert truth[found].mean() >= 0.5
