import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import convolve1d
from scipy.stats import spearmanr

from birdwatch.model.types import WindowScores
from birdwatch.scores.aggregation import segment_scores
from birdwatch.scores.blending import blended, extended, power_mean, smoothed_over_time

RNG = np.random.default_rng(5)


@given(st.integers(1, 7), st.integers(1, 4), st.integers(1, 20))
def test_overlapping_windows_average_as_in_a_loop_over_frames(hop: int, segment: int, count: int) -> None:
    rng = np.random.default_rng(hop * 100 + segment * 10 + count)
    last = int(rng.integers(1, 7))  # the last window is padded
    windows = [
        WindowScores(i * hop, 6 if i < count - 1 else last, rng.random(3).astype(np.float32)) for i in range(count)
    ]
    found = segment_scores(windows, segment_frames=segment, classes=3, overlap="mean")
    end = max(window.start_frame + window.valid_frames for window in windows)
    assert len(found) == -(-end // segment)
    for number, row in enumerate(found):
        each = [
            window.scores
            for frame in range(number * segment, (number + 1) * segment)
            for window in windows
            if window.start_frame <= frame < window.start_frame + window.valid_frames
        ]
        np.testing.assert_allclose(row, np.mean(each, axis=0) if each else np.zeros(3), rtol=1e-5)


def test_smoothing_is_scipys_convolution() -> None:
    scores = RNG.random((12, 4)).astype(np.float32)
    found = smoothed_over_time(scores, (0.2, 0.6, 0.2))
    np.testing.assert_allclose(found, convolve1d(scores, [0.2, 0.6, 0.2], axis=0, mode="nearest"), rtol=1e-5)
    assert smoothed_over_time(scores[:0], (0.2, 0.6, 0.2)).shape == (0, 4)
    np.testing.assert_allclose(smoothed_over_time(scores[:1], (0.2, 0.6, 0.2)), scores[:1], rtol=1e-6)


def test_blends() -> None:
    first, second = RNG.random((2, 9, 3)).astype(np.float32)
    np.testing.assert_allclose(blended([first, second], "mean"), (first + second) / 2, rtol=1e-6)
    np.testing.assert_allclose(blended([first, second], "power"), np.sqrt((first**2 + second**2) / 2), rtol=1e-5)
    ranks = blended([first, first**3], "rank")
    assert 0 < ranks.min() < ranks.max() < 1
    for label in range(3):
        assert spearmanr(ranks[:, label], first[:, label]).statistic == pytest.approx(1.0)


def test_a_power_mean_of_one_is_the_mean_and_of_many_the_maximum() -> None:
    scores = RNG.random((3, 5, 2))
    np.testing.assert_allclose(power_mean(scores, 1.0), scores.mean(axis=0))
    np.testing.assert_allclose(power_mean(scores, 400.0), scores.max(axis=0), rtol=0.01)


def test_a_shorter_members_last_row_is_repeated() -> None:
    scores = RNG.random((2, 3)).astype(np.float32)
    np.testing.assert_array_equal(extended(scores, 4), scores[[0, 1, 1, 1]])
    assert not extended(scores[:0], 2).any()
