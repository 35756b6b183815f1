"""A teacher's file: written by teach, read in our classes' order, its classifier found from what it answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from birdwatch.errors import ConfigError
from train.teacher import LARGEST_RESIDUAL, Embeddings, classifier_of, read_teacher, write_teacher

SIZE = 6


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-logits))


def written(path: Path, seed: int = 0) -> tuple[dict[str, Embeddings], np.ndarray, np.ndarray]:
    """Two recordings scored by a teacher that knows the classes 0 and 2 of a, b, c; its weight and bias."""
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
    weight, bias, residual = classifier_of(embeddings, sigmoid(logits).astype(np.float32))
    assert residual == pytest.approx(0.01, rel=0.1)
    oracle = LinearRegression().fit(embeddings, logits)
    np.testing.assert_allclose(weight, oracle.coef_, atol=1e-4)
    np.testing.assert_allclose(bias, oracle.intercept_, atol=1e-4)


def test_a_softmax_gives_its_logits_less_their_mean(tmp_path: Path) -> None:
    """As Perch does: a number for each window is lost, and nothing else."""
    rng = np.random.default_rng(1)
    values = np.abs(rng.normal(size=(200, SIZE))).round(2)
    weight, bias = rng.normal(size=(9, SIZE)), rng.normal(size=9)
    logits = values @ weight.T + bias
    scores = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    mine = [4, 0, 7]  # three of its nine classes
    start_s = np.arange(200.0)
    recordings = {"x.ogg": Embeddings(start_s, start_s + 5.0, values)}
    residual = write_teacher(
        tmp_path / "t.npz", recordings, ["a", "b", "c", "d"], [0, 1, 3], scores[:, mine], activation="softmax"
    )
    assert residual < 0.02
    teacher = read_teacher(tmp_path / "t.npz", ["a", "b", "c", "d"])
    assert (teacher.kind, teacher.known.tolist()) == ("centred", [True, True, False, True])
    found = (values @ teacher.weight.T + teacher.bias)[:, [0, 1, 3]]
    expected = logits[:, mine] - logits[:, mine].mean(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_of_a_teacher_whose_logits_are_not_linear_in_its_embeddings_only_these_are_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=(200, SIZE)).astype(np.float16)
    scores = sigmoid((values.astype(float) ** 2).sum(axis=1, keepdims=True) - 6.0).astype(np.float32)
    start_s = np.arange(200.0)
    recordings = {"x.ogg": Embeddings(start_s, start_s + 5.0, values)}
    assert write_teacher(tmp_path / "t.npz", recordings, ["a", "b"], [1], scores) > LARGEST_RESIDUAL
    teacher = read_teacher(tmp_path / "t.npz", ["b", "a"])
    assert (teacher.kind, teacher.known.tolist()) == ("none", [False, False])
    np.testing.assert_array_equal(teacher.recordings["x.ogg"].values, values)
    alone = {"recordings": recordings, "codes": ["a"], "known": [0], "scores": scores}
    write_teacher(tmp_path / "one.npz", **alone, activation="softmax")
    assert read_teacher(tmp_path / "one.npz", ["a"]).kind == "none", "one class of a softmax, less its mean, is nothing"


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
    with pytest.raises(ConfigError, match="it was made for other classes"):
        read_teacher(tmp_path / "t.npz", ["b", "z"])
