"""TFLite's operators written as ONNX nodes, one function a kind.

Each takes the operator, its inputs (`Value` where computed, array where constant) and the writer. Semantics are those
of the TFLite reference kernels; an option that is not handled is refused by name, never ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tflite

from birdwatch.convert.onnx_graph import BATCH, GraphWriter, Value
from birdwatch.convert.tflite_file import Operator
from birdwatch.errors import ModelError

__all__ = ["OPERATORS", "Input"]

Array = npt.NDArray[Any]
Input = Value | Array | None
Writer = Callable[[Operator, Sequence[Any], GraphWriter], Value]

# Where TFLite's axis lands when the value is held channels first.
FIRST_AXIS = (0, 2, 3, 1)


def _activated(operator: Operator, name: str, graph: GraphWriter) -> str:
    """The activation that TFLite fuses into an operator's end."""
    code = operator.options.get("FusedActivationFunction", tflite.ActivationFunctionType.NONE)
    if code == tflite.ActivationFunctionType.NONE:
        return name
    if code == tflite.ActivationFunctionType.RELU:
        return graph.node("Relu", name)
    if code == tflite.ActivationFunctionType.RELU6:
        return graph.node("Clip", name, graph.constant(0.0), graph.constant(6.0))
    raise ModelError(f"{operator.kind}: fused activation {code} is not supported")


def _fixed(operator: Operator, weights: Any) -> Array:
    if isinstance(weights, Value):
        raise ModelError(f"{operator.kind} with weights that the network computes is not supported")
    return np.asarray(weights)


def _bias(operator: Operator, inputs: Sequence[Any], graph: GraphWriter) -> tuple[str, ...]:
    """The name of the third input, or nothing where it was left out."""
    bias = inputs[2] if len(inputs) > 2 else None
    return () if bias is None else (graph.constant(_fixed(operator, bias)),)


def _window(size: int, kernel: int, stride: int, same: bool) -> tuple[int, tuple[int, int]]:
    """Output size and padding of one axis; TFLite's SAME puts the odd pixel at the end."""
    if not same:
        return (size - kernel) // stride + 1, (0, 0)
    out = -(-size // stride)
    total = max((out - 1) * stride + kernel - size, 0)
    return out, (total // 2, total - total // 2)


def _sliding(
    operator: Operator, shape: tuple[int, ...], kernel: tuple[int, int]
) -> tuple[tuple[int, int], dict[str, Any]]:
    """Height and width that come out, and the ONNX attributes, of a convolution or pool."""
    options = operator.options
    if (options.get("DilationHFactor", 1), options.get("DilationWFactor", 1)) != (1, 1):
        raise ModelError(f"{operator.kind}: dilation is not supported")
    strides = (options["StrideH"], options["StrideW"])
    same = options["Padding"] == tflite.Padding.SAME
    height, rows = _window(shape[1], kernel[0], strides[0], same)
    width, columns = _window(shape[2], kernel[1], strides[1], same)
    pads = (rows[0], columns[0], rows[1], columns[1])
    return (height, width), {"kernel_shape": kernel, "strides": strides, "pads": pads}


def _conv_2d(operator: Operator, inputs: Sequence[Any], graph: GraphWriter) -> Value:
    x, weights = graph.channels_first(inputs[0]), _fixed(operator, inputs[1])  # weights (out, kh, kw, in)
    if x.shape[3] != weights.shape[3]:
        raise ModelError(f"{operator.kind}: grouped convolution is not supported")
    size, attributes = _sliding(operator, x.shape, weights.shape[1:3])
    named = graph.constant(weights.transpose(0, 3, 1, 2)), *_bias(operator, inputs, graph)
    name = _activated(operator, graph.node("Conv", x.name, *named, **attributes), graph)
    return Value(name, (BATCH, *size, weights.shape[0]), channels_first=True)


def _depthwise_conv_2d(operator: Operator, inputs: Sequence[Any], graph: GraphWriter) -> Value:
    x, weights = graph.channels_first(inputs[0]), _fixed(operator, inputs[1])  # weights (1, kh, kw, out)
    size, attributes = _sliding(operator, x.shape, weights.shape[1:3])
    named = graph.constant(weights.transpose(3, 0, 1, 2)), *_bias(operator, inputs, graph)
    name = _activated(operator, graph.node("Conv", x.name, *named, group=x.shape[3], **attributes), graph)
    return Value(name, (BATCH, *size, weights.shape[3]), channels_first=True)


def _pool(kind: str) -> Writer:
    def write(operator: Operator, inputs: Sequence[Any], graph: GraphWriter) -> Value:
        x = graph.channels_first(inputs[0])
        kernel = (operator.options["FilterHeight"], operator.options["FilterWidth"])
        size, attributes = _sliding(operator, x.shape, kernel)
        name = _activated(operator, graph.node(kind, x.name, **attributes), graph)  # padding is not averaged in
        return Value(name, (BATCH, *size, x.shape[3]), channels_first=True)

    return write


def _fully_connected(operator: Operator, inputs: Sequence[Any], graph: GraphWriter) -> Value:
    x, weights = inputs[0], _fixed(operator, inputs[1])  # weights (out, in)
    if len(x.shape) != 2 or x.shape[1] != weights.shape[1]:
        raise ModelError(f"{operator.kind}: input {x.shape} does not fit weights {weights.shape}")
    named = graph.constant(weights.T), *_bias(operator, inputs, graph)
    name = _activated(operator, graph.node("Gemm", x.name, *named), graph)
    return Value(name, (BATCH, weights.shape[0]))


def _binary(kind: str, *, boolean: bool = False) -> Writer:
    def write(operator: Operator, inputs: Sequence[Any], graph: GraphWriter) -> Value:
        names, shape, channels_first = _aligned(inputs, graph)
        name = graph.node(kind, *names)
        return Value(name if boolean else _activated(operator, name, graph), shape, channels_first)

    return write


def _aligned(inputs: Sequence[Any], graph: GraphWriter) -> tuple[list[str], tuple[int, ...], bool]:
    """Names of inputs that broadcast together in ONNX as they do in TFLite, the result's shape and order."""
    computed = [value for value in inputs if isinstance(value, Value)]
    channels_first = all(value.channels_first for value in computed)
    rank = max(len(value.shape) for value in inputs)
    names = []
    for value in inputs:
        if isinstance(value, Value):
            names.append(value.name if channels_first else graph.channels_last(value).name)
        elif channels_first:
            spread = value.reshape((1,) * (rank - value.ndim) + value.shape)
            names.append(graph.constant(spread.transpose(0, 3, 1, 2)))
        else:
            names.append(graph.constant(value))
    shapes = [(1, *value.shape[1:]) if isinstance(value, Value) else value.shape for value in inputs]
    return names, (BATCH, *np.broadcast_shapes(*shapes)[1:]), channels_first


def _unary(kind: str) -> Writer:
    def write(operator: Operator, inputs: Sequence[Any], graph: GraphWriter) -> Value:
        x = inputs[0]
        return Value(graph.node(kind, x.name), x.shape, x.channels_first)

    return write


def _reduce(kind: str) -> Writer:
    def write(operator: Operator, inputs: Sequence[Any], graph: GraphWriter) -> Value:
        x, rank = inputs[0], len(inputs[0].shape)
        axes = sorted(int(axis) % rank for axis in np.atleast_1d(inputs[1]))
        if 0 in axes:
            raise ModelError(f"{operator.kind} over the batch: a window's scores would depend on its neighbours")
        keep = bool(operator.options["KeepDims"])
        # Without keepdims only what is left in TFLite's order may stay channels first.
        if x.channels_first and not keep and axes != [1, 2]:
            x = graph.channels_last(x)
        placed = [FIRST_AXIS[axis] if x.channels_first else axis for axis in axes]
        if kind == "ReduceMean" and placed == [2, 3]:
            name = graph.node("GlobalAveragePool", x.name)
            name = name if keep else graph.reshape(name, (BATCH, x.shape[3]))
        else:
            name = graph.node(kind, x.name, graph.constant(placed, np.int64), keepdims=int(keep))
        shape = [1 if axis in axes else size for axis, size in enumerate(x.shape) if keep or axis not in axes]
        return Value(name, tuple(shape), x.channels_first and keep)

    return write


def _pad(operator: Operator, inputs: Sequence[Any], graph: GraphWriter) -> Value:
    x, pads = inputs[0], np.asarray(inputs[1])  # pads (rank, 2)
    if pads[0].any():
        raise ModelError("PAD of the batch is not supported")
    placed = pads[[0, 3, 1, 2]] if x.channels_first else pads
    name = graph.node("Pad", x.name, graph.constant(placed.T.ravel(), np.int64))
    grown = (int(size + extra) for size, extra in zip(x.shape[1:], pads[1:].sum(axis=1), strict=True))
    return Value(name, (BATCH, *grown), x.channels_first)


def _concatenation(operator: Operator, inputs: Sequence[Any], graph: GraphWriter) -> Value:
    rank = len(inputs[0].shape)
    axis = operator.options["Axis"] % rank
    if axis == 0:
        raise ModelError("CONCATENATION of batches is not supported")
    parts = [graph.channels_first(value) for value in inputs]
    first = parts[0].channels_first
    name = graph.node("Concat", *(part.name for part in parts), axis=FIRST_AXIS[axis] if first else axis)
    shape = list(parts[0].shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    return Value(_activated(operator, name, graph), tuple(shape), first)


def _expand_dims(operator: Operator, inputs: Sequence[Any], graph: GraphWriter) -> Value:
    x = graph.channels_last(inputs[0])
    axis = int(inputs[1]) % (len(x.shape) + 1)
    if axis == 0:
        raise ModelError("EXPAND_DIMS in front of the batch is not supported")
    shape = (*x.shape[:axis], 1, *x.shape[axis:])
    return Value(graph.node("Unsqueeze", x.name, graph.constant([axis], np.int64)), shape)


def reshaped(value: Value, shape: tuple[int, ...], graph: GraphWriter) -> Value:
    """A RESHAPE that keeps the batch; `shape` is the result's, its first size the batch."""
    if np.prod(value.shape[1:], dtype=int) != np.prod(shape[1:], dtype=int):
        raise ModelError(f"RESHAPE from {value.shape} to {shape} does not keep the batch; it is not supported")
    return Value(graph.reshape(graph.channels_last(value).name, (BATCH, *shape[1:])), (BATCH, *shape[1:]))


def _strided_slice(operator: Operator, inputs: Sequence[Any], graph: GraphWriter) -> Value:
    x = graph.channels_last(inputs[0])
    begin, end, strides = (np.asarray(values) for values in inputs[1:4])
    options = operator.options
    if options["EllipsisMask"] or options["NewAxisMask"] or (strides < 1).any():
        raise ModelError("STRIDED_SLICE with an ellipsis, a new axis or a negative stride is not supported")
    shape, squeezed = [BATCH], []
    picks: list[tuple[int, range]] = []
    for axis, size in enumerate(x.shape):
        named = axis < len(begin)
        shrink = named and bool(options["ShrinkAxisMask"] >> axis & 1)
        low = int(begin[axis]) if named and not options["BeginMask"] >> axis & 1 else 0
        high = int(end[axis]) if named and not options["EndMask"] >> axis & 1 else None
        step = int(strides[axis]) if named else 1
        if axis == 0:
            if shrink or (low, high, step) != (0, None, 1):
                raise ModelError("STRIDED_SLICE of the batch is not supported")
            continue
        picks.append((axis, range(size)[slice(low, low + 1 or None) if shrink else slice(low, high, step)]))
        if shrink:
            squeezed.append(axis)
        else:
            shape.append(len(picks[-1][1]))
    columns = zip(*((picked.start, picked.stop, axis, picked.step) for axis, picked in picks), strict=True)
    name = graph.node("Slice", x.name, *(graph.constant(column, np.int64) for column in columns))
    if squeezed:
        name = graph.node("Squeeze", name, graph.constant(squeezed, np.int64))
    return Value(name, tuple(shape))


def _select(operator: Operator, inputs: Sequence[Any], graph: GraphWriter) -> Value:
    names, shape, channels_first = _aligned(inputs, graph)
    return Value(graph.node("Where", *names), shape, channels_first)


OPERATORS: dict[str, Writer] = {
    "ADD": _binary("Add"),
    "AVERAGE_POOL_2D": _pool("AveragePool"),
    "CONCATENATION": _concatenation,
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "DIV": _binary("Div"),
    "EXPAND_DIMS": _expand_dims,
    "FULLY_CONNECTED": _fully_connected,
    "GREATER": _binary("Greater", boolean=True),
    "LESS": _binary("Less", boolean=True),
    "LOGISTIC": _unary("Sigmoid"),
    "MAX_POOL_2D": _pool("MaxPool"),
    "MEAN": _reduce("ReduceMean"),
    "MUL": _binary("Mul"),
    "PAD": _pad,
    "REDUCE_MAX": _reduce("ReduceMax"),
    "REDUCE_MIN": _reduce("ReduceMin"),
    "SELECT_V2": _select,
    "SIN": _unary("Sin"),
    "STRIDED_SLICE": _strided_slice,
    "SUB": _binary("Sub"),
}
