"""A TFLite file is read completely, and whatever is not one is refused in one line."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tflite", reason="needs the extra 'models': pip install 'birdwatch[models]'")
pytest.importorskip("ai_edge_litert", reason="needs the extra 'models': pip install 'birdwatch[models]'")

from hypothesis import given, settings
from hypothesis import strategies as st
from tflite_files import TFLiteFile, options

from birdwatch.convert.convert import convert
from birdwatch.convert.tflite_file import read_tflite
from birdwatch.convert.verify import onnx_runner, tflite_runner
from birdwatch.errors import ModelError


def small_file() -> bytes:
    file = TFLiteFile()
    source = file.tensor((1, 5, 6, 2), batch=True)
    weights, bias = file.constant(np.arange(24).reshape(3, 2, 2, 2)), file.constant([1, 2, 3])
    table = options("Conv2D", padding=1, strideH=2, strideW=3, dilationHFactor=1, dilationWFactor=1)
    return file.content(source, file.operator("CONV_2D", [source, weights, bias], (1, 2, 2, 3), options=table))


def test_tensors_constants_operators_and_options() -> None:
    network = read_tflite(small_file())
    (operator,) = network.operators
    assert (operator.kind, operator.inputs, operator.outputs) == ("CONV_2D", (0, 1, 2), network.outputs)
    assert {key: operator.options[key] for key in ("Padding", "StrideH", "StrideW")} == {
        "Padding": 1,
        "StrideH": 2,
        "StrideW": 3,
    }
    np.testing.assert_array_equal(network.constant(1), np.arange(24, dtype=np.float32).reshape(3, 2, 2, 2))
    assert network.tensors[0].data is None
    with pytest.raises(ModelError, match="'tensor0' is computed"):
        network.constant(0)


@pytest.mark.parametrize("content", [b"", b"x", b"not a model at all", b"PK\x03\x04" + bytes(64)])
def test_something_else_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match="not a TFLite model"):
        read_tflite(content)


@settings(max_examples=60, deadline=None)
@given(st.integers(8, len(small_file()) - 1))
def test_a_file_cut_short_is_read_or_refused(length: int) -> None:
    try:
        read_tflite(small_file()[:length])
    except ModelError:
        return


@pytest.mark.fuzz
@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(8, 10**6), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_mutated_file_is_converted_or_refused(changes: list[tuple[int, int]]) -> None:
    content = bytearray(small_file())
    for place, value in changes:
        content[8 + place % (len(content) - 8)] = value
    try:
        network = read_tflite(bytes(content))
        converted = convert(network, {"scores": network.outputs[0]}, input_name="x")
        # As `model add` does, which compares both.
        samples = np.zeros((1, 5, 6, 2), np.float32)
        tflite_runner(bytes(content))(samples)
        onnx_runner(converted.SerializeToString(), "scores")(samples)
    except ModelError as error:
        assert str(error)  # noqa: PT017 - either outcome is right


def test_tensors_that_are_not_there_are_named() -> None:
    file = TFLiteFile()
    source = file.tensor((1, 5), batch=True)
    content = file.content(source, file.operator("ADD", [source, 99], (1, 5)))
    with pytest.raises(ModelError, match=r"damaged \(operator 0 \(ADD\) names tensors beyond"):
        read_tflite(content)
