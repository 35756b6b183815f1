"""A teacher's file: written by teach, read in our classes' order, its classifier found from what it answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from birdwatch.errors import ConfigError
from train.teacher import Embeddings, classifier_of, read_teacher, write_teacher

SIZE = 6


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-logits))


def written(path: Path, seed: int = 0) -> tuple[dict[str, Embeddings], np.ndarray, np.ndarray]:
    """Two recordings heard by a teacher that knows the classes 0 and 2 of a, b, c; its weight and bias."""
    rng = np.random.default_rng(seed)
    weight, bias = rng.normal(size=(2, SIZE)), rng.normal(size=2)
    recordings = {}
    for name, windows in (("x.ogg", 30), ("y.ogg", 11)):
        start_s = np.arange(windows, dtype=np.float64)
        recordings[name] = Embeddings(start_s, start_s + 3.0, np.abs(rng.normal(size=(windows, SIZE))).round(2))
    scores = sigmoid(np.concatenate([item.values for item in recordings.values()]) @ weight.T + bias)
    write_teacher(path, recordings, ["a", "b", "c"], [0, 2], scores.astype(np.float32))
    return recordings, weight, bias


def test_what_was_written_is_read_in_the_order_of_the_classes(tmp_path: Path) -> None:
    recordings, weight, bias = written(tmp_path / "t.npz")
    teacher = read_teacher(tmp_path / "t.npz", ["new", "c", "b", "a"])
    assert teacher.known.tolist() == [False, True, False, True]
    np.testing.assert_allclose(teacher.weight, [np.zeros(SIZE), weight[1], np.zeros(SIZE), weight[0]], atol=5e-3)
    np.testing.assert_allclose(teacher.bias, [0.0, bias[1], 0.0, bias[0]], atol=5e-3)
    assert list(teacher.recordings) == ["x.ogg", "y.ogg"]
    values = np.concatenate([item.values for item in recordings.values()])
    np.testing.assert_allclose(teacher.recordings["y.ogg"].values, recordings["y.ogg"].values, atol=2e-3)
    assert teacher.recordings["y.ogg"].end_s.tolist() == recordings["y.ogg"].end_s.tolist()
    np.testing.assert_allclose(teacher.mean, values.mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(teacher.spread, values.std(axis=0), atol=1e-3)
    assert teacher.size == SIZE


def test_a_window_s_embedding_is_the_mean_of_those_that_speak_for_it() -> None:
    start_s = np.arange(8.0)
    item = Embeddings(start_s, start_s + 3.0, np.arange(16.0).reshape(8, 2).astype(np.float16))
    # At least half of a 3 s span lies in 2.3 to 7.3 s: those that start at 0.8 to 5.8 s.
    mean = item.mean(2.3, 5.0)
    assert mean is not None
    assert mean.dtype == np.float32
    np.testing.assert_allclose(mean, item.values[1:6].astype(np.float64).mean(axis=0))
    assert item.mean(60.0, 5.0) is None


def test_the_classifier_is_least_squares_on_the_logits() -> None:
    rng = np.random.default_rng(1)
    embeddings = rng.normal(size=(200, SIZE))
    logits = embeddings @ rng.normal(size=(SIZE, 3)) + rng.normal(size=3) + 0.01 * rng.normal(size=(200, 3))
    weight, bias = classifier_of(embeddings, sigmoid(logits).astype(np.float32))
    oracle = LinearRegression().fit(embeddings, logits)
    np.testing.assert_allclose(weight, oracle.coef_, atol=1e-4)
    np.testing.assert_allclose(bias, oracle.intercept_, atol=1e-4)


def test_a_teacher_whose_logits_are_not_linear_in_its_embeddings_is_refused() -> None:
    rng = np.random.default_rng(2)
    embeddings = rng.normal(size=(200, SIZE))
    scores = sigmoid((embeddings**2).sum(axis=1, keepdims=True) - 6.0).astype(np.float32)
    with pytest.raises(ConfigError, match=r"differ by .* from a linear map.*without --embeddings-out"):
        classifier_of(embeddings, scores)


def test_files_that_are_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no teacher's embeddings .*none\.npz"):
        read_teacher(tmp_path / "none.npz", ["a"])
    (tmp_path / "text.npz").write_text("text")
    with pytest.raises(ConfigError, match=r"text\.npz is not a file of `train teach"):
        read_teacher(tmp_path / "text.npz", ["a"])
    np.savez(tmp_path / "other.npz", x=1)
    with pytest.raises(ConfigError, match=r"other\.npz is not a file of `train teach"):
        read_teacher(tmp_path / "other.npz", ["a"])
    written(tmp_path / "t.npz")
    with pytest.raises(ConfigError, match="asked for other classes"):
        read_teacher(tmp_path / "t.npz", ["b", "z"])
