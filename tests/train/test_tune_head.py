"""The last layer learns the recordists' labels by each recording's highest window; what has no recordings stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from birdwatch.errors import ModelError
from birdwatch.model.builtin import built_in_model
from train.tune_head import HeadOptions, tuned
from train.warm_start import read_exported_head


def recordings(seed: int = 0) -> tuple[list[NDArray[np.float32]], NDArray[np.int64], torch.Tensor]:
    """Of 4 windows each, one of which holds the bird: 120 of classes 0 to 2, none of 3; and the class means."""
    rng = np.random.default_rng(seed)
    means = np.eye(4, 8, dtype=np.float32) * 4
    truth = np.repeat([0, 1, 2], 40)
    found = rng.normal(size=(120, 4, 8)).astype(np.float32) + 1
    found[np.arange(120), rng.integers(4, size=120)] += means[truth]
    return list(found), truth, torch.from_numpy(means)


def highest(features: list[NDArray[np.float32]], weight: torch.Tensor, bias: torch.Tensor) -> NDArray[np.float64]:
    logits = np.array([(f @ weight.numpy().T + bias.numpy()).max(axis=0) for f in features], np.float64)
    scores: NDArray[np.float64] = 1 / (1 + np.exp(-logits))
    return scores


def test_a_timid_layer_becomes_sure_of_what_it_finds() -> None:
    features, truth, means = recordings()
    weight, bias = means * 0.05, torch.full((4,), -3.0)
    after = tuned(weight, bias, features, truth, HeadOptions(epochs=60, lr=0.03, batch=16))
    fresh, fresh_truth, _ = recordings(seed=1)
    right = np.arange(120), fresh_truth
    before_scores, scores = highest(fresh, weight, bias), highest(fresh, *after)
    assert before_scores[right].max() < 0.5
    assert np.mean(scores[right] > 0.5) > 0.8
    assert np.mean(scores[:, :3] > 0.5) < 0.45  # a third is right


def test_no_epochs_and_a_strict_penalty_leave_the_layer_as_it_is() -> None:
    features, truth, means = recordings()
    bias = torch.zeros(4)
    same = tuned(means, bias, features, truth, HeadOptions(epochs=0))
    assert torch.equal(same[0], means)
    strict, loose = (
        tuned(means, bias, features, truth, HeadOptions(epochs=20, lr=0.01, batch=16, penalty=penalty))[0] - means
        for penalty in (100.0, 0.0)
    )
    assert float(strict.abs().max()) < 0.2 * float(loose.abs().max())


def test_the_same_seed_gives_the_same_layer() -> None:
    features, truth, means = recordings()
    one, two = (tuned(means, torch.zeros(4), features, truth, HeadOptions(epochs=2, lr=0.01)) for _ in range(2))
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[1], two[1])


def test_the_built_in_model_s_layer_is_its_own() -> None:
    weight, bias = read_exported_head(built_in_model())
    values = {item.name: numpy_helper.to_array(item) for item in onnx.load(str(built_in_model())).graph.initializer}
    assert weight.shape == (647, 1280)
    np.testing.assert_array_equal(weight.numpy(), values["body.classifier.weight.half"].astype(np.float32))
    np.testing.assert_array_equal(bias.numpy(), values["body.classifier.bias"])


def test_a_graph_without_a_linear_layer_at_its_end_is_refused(tmp_path: Path) -> None:
    value = onnx.helper.make_tensor_value_info("x", 1, [1])
    out = onnx.helper.make_tensor_value_info("y", 1, [1])
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    path = tmp_path / "relu.onnx"
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "g", [value], [out])), str(path))
    with pytest.raises(ModelError, match="linear layer"):
        read_exported_head(path)
