"""A range model answers for a place and a week, and refuses what is neither."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from birdwatch.errors import ConfigError, ModelError
from birdwatch.model.range_model import RANGE_KEY, RangeModel


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Three species whose probability is the sigmoid of the latitude, the longitude and the week."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["place", "w"], ["z"]), helper.make_node("Sigmoid", ["z"], ["scores"])],
        "range",
        [helper.make_tensor_value_info("place", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(np.eye(3, dtype=np.float32) / 10, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    names = ["Parus major", "Erithacus rubecula", "Turdus merula"]
    helper.set_model_props(model, {RANGE_KEY: json.dumps({"name": "tiny", "species": names})})
    onnx.save(model, tmp_path / "range.onnx")
    return tmp_path / "range.onnx"


def test_probabilities_by_scientific_name(path: Path) -> None:
    model = RangeModel(path)
    found = model.probabilities(47.6, -9.2, 20)
    expected = 1 / (1 + np.exp(-np.array([4.76, -0.92, 2.0])))
    assert list(found) == ["Parus major", "Erithacus rubecula", "Turdus merula"]
    np.testing.assert_allclose(list(found.values()), expected, rtol=1e-5)
    # The whole year is the week -1 of BirdNET's model.
    np.testing.assert_allclose(model.probabilities(0, 0, None)["Turdus merula"], 1 / (1 + np.exp(0.1)), rtol=1e-5)
    assert model.source(47.6, -9.2, None) == "the range model of tiny at 47.6, -9.2, all year"


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ((91, 0, 1), "latitude 91"),
        ((0, 181, 1), "longitude 181"),
        ((0, 0, 49), "week is 49"),
        ((0, 0, 0), "week is 0"),
        ((float("nan"), 0, 1), "latitude nan"),
    ],
)
def test_no_such_place_or_week(path: Path, place: tuple[float, float, int], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        RangeModel(path).probabilities(*place)


def test_another_model_is_refused(tiny_model: Path) -> None:
    with pytest.raises(ModelError, match="not a range model"):
        RangeModel(tiny_model)


@pytest.mark.parametrize(
    ("described", "match"),
    [
        ("[" * 10**5, "is not JSON"),
        ("", "is not JSON"),
        ("[]", "name is None, expected text; species are None, expected a list of names"),
        ('{"name": 1, "species": [1]}', r"name is 1, expected text; species are \[1\]"),
        ('{"name": "x", "species": ["a", "\\ud800", "c"]}', "species are"),
        ('{"name": "x", "species": ["a"]}', "and 1 species"),
    ],
)
def test_a_range_model_that_does_not_fit_its_description_is_refused(path: Path, described: str, match: str) -> None:
    model = onnx.load(path)
    model.metadata_props[0].value = described
    onnx.save(model, path)
    with pytest.raises(ModelError, match=match):
        RangeModel(path)
