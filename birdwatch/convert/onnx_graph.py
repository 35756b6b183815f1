"""Writes an ONNX graph node by node; moves values between TFLite's channels-last and ONNX's channels-first order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["BATCH", "OPSET", "GraphWriter", "Value"]

# Stands for the batch in shapes; it is always the first axis. In a Reshape it means "as it was".
BATCH = 0
# Reduce* take their axes as an input from 18 on; every ONNX Runtime that birdwatch supports reads it.
OPSET = 18

TO_CHANNELS_FIRST = (0, 3, 1, 2)
TO_CHANNELS_LAST = (0, 2, 3, 1)


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor of the written graph.

    shape: in TFLite's order (channels last), its first size `BATCH`. channels_first: the order in which the ONNX
    graph holds it; only ever true of four axes.
    """

    name: str
    shape: tuple[int, ...]
    channels_first: bool = False


class GraphWriter:
    """Collects nodes and constants, and gives every result a name."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], TensorProto] = {}

    def constant(self, values: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        """The name of a constant with these values; equal ones are stored once."""
        array = np.ascontiguousarray(values, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = numpy_helper.from_array(array, f"constant_{len(self._constants)}")
        return self._constants[key].name

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node with one output and returns that output's name."""
        output = f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def reshape(self, name: str, shape: tuple[int, ...]) -> str:
        """`name` in another shape; a `BATCH` in front keeps the first size."""
        return self.node("Reshape", name, self.constant(shape, np.int64))

    def channels_first(self, value: Value) -> Value:
        """The same values, four axes as (B, C, H, W)."""
        if len(value.shape) != 4 or value.channels_first:
            return value
        return Value(self._moved(value, TO_CHANNELS_FIRST), value.shape, channels_first=True)

    def channels_last(self, value: Value) -> Value:
        """The same values in TFLite's own order."""
        if not value.channels_first:
            return value
        return Value(self._moved(value, TO_CHANNELS_LAST), value.shape)

    def _moved(self, value: Value, order: tuple[int, ...]) -> str:
        _, height, width, channels = value.shape
        if channels == 1 or height * width == 1:  # the order in memory stays: no copy
            last = order == TO_CHANNELS_LAST
            shape = (BATCH, height, width, channels) if last else (BATCH, channels, height, width)
            return self.reshape(value.name, shape)
        return self.node("Transpose", value.name, perm=order)

    def model(
        self, inputs: dict[str, tuple[int, ...]], outputs: dict[str, tuple[str, tuple[int, ...]]]
    ) -> onnx.ModelProto:
        """The finished, checked model: float32 inputs by name and shape; outputs by name, the node output, shape.

        The first axis of each is the dynamic batch.
        """
        nodes = [*self._nodes]
        nodes += [helper.make_node("Identity", [source], [name]) for name, (source, _) in outputs.items()]
        graph = helper.make_graph(
            nodes,
            "birdwatch",
            [_described(name, shape) for name, shape in inputs.items()],
            [_described(name, shape) for name, (_, shape) in outputs.items()],
            list(self._constants.values()),
        )
        # IR version 9 is what opset 18's contemporaries write; newer ones would lock older runtimes out.
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
        onnx.checker.check_model(model, full_check=True)
        return model


def _described(name: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape[1:]])
