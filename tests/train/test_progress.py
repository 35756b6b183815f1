from collections.abc import Iterator
from itertools import count

import numpy as np
import pytest
from sklearn.metrics import log_loss as expected_log_loss

from train.predictions import log_loss
from train.progress import Pace


def test_a_line_a_minute_with_loss_rate_and_time_to_go() -> None:
    seconds: Iterator[int] = count(0, 25)
    lines: list[str] = []
    pace = Pace("fold 0 epoch 1/2", 300, lines.append, clock=lambda: float(next(seconds)))
    for loss in (0.5, 0.4, 0.3, 0.2, 0.1, 0.0):
        pace.push(50, loss)
    assert lines == ["fold 0 epoch 1/2: 150 of 300 windows, loss 0.4000, 2.0 windows/s, 1.2 min to go"]


def test_the_validation_loss_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    scores, truth = rng.random((20, 3)).astype(np.float32), rng.random((20, 3)) < 0.4
    assert log_loss(scores, truth) == pytest.approx(expected_log_loss(truth.ravel(), scores.ravel().astype(float)))
