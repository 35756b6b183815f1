"""Each operator, written as ONNX, computes what LiteRT's own kernel computes, for any batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

pytest.importorskip("tflite", reason="needs the extra 'models': pip install 'birdwatch[models]'")
pytest.importorskip("ai_edge_litert", reason="needs the extra 'models': pip install 'birdwatch[models]'")

from tflite_files import TFLiteFile, options, run_litert

from birdwatch.convert.convert import convert
from birdwatch.convert.operators import OPERATORS
from birdwatch.convert.tflite_file import read_tflite
from birdwatch.errors import ModelError

RNG = np.random.default_rng(8)
SAME, VALID = 0, 1
RELU, RELU6 = 1, 3


def draw(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def conv(**extra: Any) -> Any:
    return options(
        "Conv2D", **{"padding": SAME, "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1} | extra
    )


def depthwise(**extra: Any) -> Any:
    defaults = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1, "depthMultiplier": 1}
    return options("DepthwiseConv2D", **defaults | extra)


def pool(padding: int) -> Any:
    return options("Pool2D", padding=padding, strideH=1, strideW=2, filterHeight=2, filterWidth=3)


def slicing(**masks: int) -> Any:
    return options("StridedSlice", **masks)


# kind, input shape, constants after (or, negative position, before) the input, result shape, option table
CASES: dict[str, tuple[str, tuple[int, ...], list[Any], tuple[int, ...], Any]] = {
    "conv same stride 2, odd padding at the end": (
        "CONV_2D", (1, 7, 10, 3), [draw(5, 3, 4, 3), draw(5)], (1, 4, 5, 5), conv(strideH=2, strideW=2)
    ),
    "conv valid, relu": (
        "CONV_2D", (1, 7, 9, 3), [draw(5, 3, 2, 3), draw(5)], (1, 5, 8, 5),
        conv(padding=VALID, fusedActivationFunction=RELU),
    ),
    "depthwise same, relu6": (
        "DEPTHWISE_CONV_2D", (1, 6, 7, 4), [draw(1, 3, 3, 4), draw(4)], (1, 6, 7, 4),
        depthwise(padding=SAME, fusedActivationFunction=RELU6),
    ),
    "depthwise valid stride 2": (
        "DEPTHWISE_CONV_2D", (1, 9, 7, 4), [draw(1, 3, 3, 4), draw(4)], (1, 4, 3, 4),
        depthwise(padding=VALID, strideH=2, strideW=2),
    ),
    "average pool same": ("AVERAGE_POOL_2D", (1, 5, 8, 3), [], (1, 5, 4, 3), pool(SAME)),
    "average pool valid": ("AVERAGE_POOL_2D", (1, 5, 8, 3), [], (1, 4, 3, 3), pool(VALID)),
    "max pool same": ("MAX_POOL_2D", (1, 5, 8, 3), [], (1, 5, 4, 3), pool(SAME)),
    "fully connected": (
        "FULLY_CONNECTED", (1, 6), [draw(4, 6), draw(4)], (1, 4),
        options("FullyConnected", fusedActivationFunction=RELU),
    ),
    "fully connected without bias": ("FULLY_CONNECTED", (1, 6), [draw(4, 6)], (1, 4), options("FullyConnected")),
    "add channels": ("ADD", (1, 3, 4, 5), [draw(5)], (1, 3, 4, 5), options("Add", fusedActivationFunction=RELU)),
    "sub scalar": ("SUB", (1, 7), [np.float32(0.5)], (1, 7), options("Sub")),
    "mul": ("MUL", (1, 7), [draw(1, 7)], (1, 7), options("Mul")),
    "div": ("DIV", (1, 7), [draw(7)], (1, 7), options("Div")),
    "logistic": ("LOGISTIC", (1, 3, 4, 5), [], (1, 3, 4, 5), None),
    "sin": ("SIN", (1, 7), [], (1, 7), None),
    "mean of a picture": ("MEAN", (1, 3, 4, 5), [np.array([1, 2])], (1, 5), options("Reducer", keepDims=False)),
    "mean kept": ("MEAN", (1, 3, 4, 5), [np.array([1, 2])], (1, 1, 1, 5), options("Reducer", keepDims=True)),
    "mean of channels": ("MEAN", (1, 3, 4, 5), [np.array([-1])], (1, 3, 4), options("Reducer", keepDims=False)),
    "minimum": ("REDUCE_MIN", (1, 9), [np.array(1)], (1, 1), options("Reducer", keepDims=True)),
    "maximum": ("REDUCE_MAX", (1, 9), [np.array(1)], (1, 1), options("Reducer", keepDims=True)),
    "pad": ("PAD", (1, 3, 4, 2), [np.array([[0, 0], [1, 0], [2, 1], [0, 3]])], (1, 4, 7, 5), options("Pad")),
    "expand": ("EXPAND_DIMS", (1, 7), [np.array(-1)], (1, 7, 1), None),
    "reshape": ("RESHAPE", (1, 2, 3, 4), [np.array([-1, 4, 6])], (1, 4, 6), options("Reshape", newShape=[-1, 4, 6])),
    "slice one column": (
        "STRIDED_SLICE", (1, 5), [np.array([0, 2]), np.array([0, 3]), np.array([1, 1])], (1,),
        slicing(beginMask=1, endMask=1, shrinkAxisMask=2),
    ),
    "slice every second": (
        "STRIDED_SLICE", (1, 9), [np.array([0, 1]), np.array([0, 0]), np.array([1, 2])], (1, 4),
        slicing(beginMask=1, endMask=3),
    ),
}  # fmt: skip


def scores(content: bytes, values: Any) -> Any:
    network = read_tflite(content)
    model = convert(network, {"out": network.outputs[0]}, input_name="in")
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["out"], {"in": values})[0]


def check(file: TFLiteFile, source: int, output: int, shape: tuple[int, ...]) -> None:
    content = file.content(source, output)
    for batch in (1, 3):
        values = draw(batch, *shape[1:])
        expected = run_litert(content, values)
        found = scores(content, values)
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_equals_litert(name: str) -> None:
    kind, shape, constants, result, table = CASES[name]
    file = TFLiteFile()
    source = file.tensor(shape, batch=True)
    numbers = [file.constant(value, "float32" if value.dtype == np.float32 else "int32") for value in constants]
    check(file, source, file.operator(kind, [source, *numbers], result, options=table), shape)


@pytest.mark.parametrize("axis", [1, 3, -1])
def test_concatenation_equals_litert(axis: int) -> None:
    file = TFLiteFile()
    source = file.tensor((1, 2, 3, 4), batch=True)
    other = file.operator("LOGISTIC", [source], (1, 2, 3, 4))
    shape = tuple(2 * size if number == axis % 4 else size for number, size in enumerate((1, 2, 3, 4)))
    table = options("Concatenation", axis=axis)
    check(file, source, file.operator("CONCATENATION", [source, other], shape, options=table), (1, 2, 3, 4))


@pytest.mark.parametrize("comparison", ["GREATER", "LESS"])
def test_comparison_and_select_equal_litert(comparison: str) -> None:
    file = TFLiteFile()
    source = file.tensor((1, 9), batch=True)
    which = file.operator(comparison, [source, file.constant(0.25)], (1, 9), "bool")
    output = file.operator("SELECT_V2", [which, file.constant(1.0), source], (1, 9))
    check(file, source, output, (1, 9))


def test_squeeze_and_excitation_equals_litert() -> None:
    """A picture times a gate computed from its mean: values in both orders of axes meet."""
    file = TFLiteFile()
    source = file.tensor((1, 3, 4, 5), batch=True)
    picture = file.operator(
        "CONV_2D", [source, file.constant(draw(6, 1, 1, 5)), file.constant(draw(6))], (1, 3, 4, 6), options=conv()
    )
    mean = file.operator("MEAN", [picture, file.constant([1, 2], "int32")], (1, 6), options=options("Reducer"))
    shape = [-1, 1, 1, 6]
    pixel = file.operator(
        "RESHAPE", [mean, file.constant(shape, "int32")], (1, 1, 1, 6), options=options("Reshape", newShape=shape)
    )
    gate = file.operator(
        "CONV_2D", [pixel, file.constant(draw(6, 1, 1, 6)), file.constant(draw(6))], (1, 1, 1, 6), options=conv()
    )
    check(file, source, file.operator("MUL", [picture, gate], (1, 3, 4, 6), options=options("Mul")), (1, 3, 4, 5))


def test_float16_weights_are_widened() -> None:
    file = TFLiteFile()
    source = file.tensor((1, 5), batch=True)
    weights = file.operator("DEQUANTIZE", [file.constant(draw(3, 5), "float16")], (3, 5))
    check(
        file,
        source,
        file.operator("FULLY_CONNECTED", [source, weights], (1, 3), options=options("FullyConnected")),
        (1, 5),
    )


def test_weights_that_are_computed_are_refused() -> None:
    file = TFLiteFile()
    source = file.tensor((1, 5), batch=True)
    weights = file.operator("SIN", [source], (1, 5))
    output = file.operator("FULLY_CONNECTED", [source, weights], (1, 1), options=options("FullyConnected"))
    network = read_tflite(file.content(source, output))
    with pytest.raises(ModelError, match="weights that the network computes"):
        convert(network, {"out": network.outputs[0]}, input_name="in")


def test_every_operator_is_compared() -> None:
    compared = {case[0] for case in CASES.values()} | {"CONCATENATION", "GREATER", "LESS", "SELECT_V2"}
    assert set(OPERATORS) <= compared


@pytest.mark.parametrize(
    ("kind", "shape", "constants", "result", "table", "reason"),
    [
        ("CONV_2D", (1, 4, 4, 2), [draw(3, 1, 1, 2), draw(3)], (1, 4, 4, 3), conv(dilationHFactor=2), "dilation"),
        ("CONV_2D", (1, 4, 4, 2), [draw(4, 1, 1, 1), draw(4)], (1, 4, 4, 4), conv(), "grouped"),
        ("MUL", (1, 4), [draw(4)], (1, 4), options("Mul", fusedActivationFunction=4), "fused activation 4"),
        ("MEAN", (1, 4), [np.array([0])], (4,), options("Reducer"), "over the batch"),
        ("ROUND", (1, 4), [], (1, 4), None, "cannot be converted: ROUND"),
        ("TRANSPOSE", (1, 4), [np.array([1, 0])], (4, 1), None, "cannot be converted: TRANSPOSE"),
        ("RESHAPE", (1, 4), [np.array([2, 2])], (2, 2), options("Reshape", newShape=[2, 2]), "does not keep the batch"),
    ],
)
def test_what_is_not_handled_is_refused_by_name(
    kind: str, shape: Any, constants: list[Any], result: Any, table: Any, reason: str
) -> None:
    file = TFLiteFile()
    source = file.tensor(shape, batch=True)
    numbers = [file.constant(value, "float32" if value.dtype == np.float32 else "int32") for value in constants]
    network = read_tflite(file.content(source, file.operator(kind, [source, *numbers], result, options=table)))
    with pytest.raises(ModelError, match=reason):
        convert(network, {"out": network.outputs[0]}, input_name="in")
