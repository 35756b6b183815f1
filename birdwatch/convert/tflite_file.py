"""Reads a TFLite file into plain values: tensors, constants and operators with their options.

The format is the published flatbuffer schema (tensorflow/compiler/mlir/lite/schema/schema.fbs), read with the
`tflite` package, which is that schema compiled. Nothing here runs a network.
"""

from __future__ import annotations

import inspect
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tflite

from birdwatch.errors import ModelError

__all__ = ["Network", "Operator", "Tensor", "read_tflite"]

Array = npt.NDArray[Any]

# The schema's element types that a constant can have here; anything else has no NumPy type (or is quantised).
DTYPES = {
    tflite.TensorType.FLOAT32: np.float32,
    tflite.TensorType.FLOAT16: np.float16,
    tflite.TensorType.INT32: np.int32,
    tflite.TensorType.INT64: np.int64,
    tflite.TensorType.BOOL: np.bool_,
}
# BirdNET has 600 tensors; a flipped byte makes a length of billions of it.
MAX_PARTS = 100_000
KINDS = {code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)}
OPTION_TABLES = {code: name for name, code in vars(tflite.BuiltinOptions).items() if isinstance(code, int)}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: its shape as stored (1 stands where the file leaves a size open) and, if constant, its values."""

    name: str
    shape: tuple[int, ...]
    data: Array | None


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator: its kind (`CONV_2D`), tensor numbers (-1: left out) and options (`StrideH`)."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Network:
    """A file's only graph, its operators in the order of execution."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def constant(self, tensor: int) -> Array:
        """The values of a constant tensor; raises ModelError if it is computed instead."""
        data = self.tensors[tensor].data
        if data is None:
            raise ModelError(f"tensor {self.tensors[tensor].name!r} is computed, a constant was expected here")
        return data


def read_tflite(content: bytes) -> Network:
    """The network in a TFLite file's bytes; raises ModelError if they are not one float graph."""
    # Bytes 4 to 8 of a flatbuffer are the schema's identifier; without this check any bytes would be "read".
    if not tflite.Model.ModelBufferHasIdentifier(content, 0):
        raise ModelError("the file is not a TFLite model (no TFL3 identifier)")
    try:
        network = _network(tflite.Model.GetRootAs(content, 0))
    except (struct.error, ValueError, LookupError, ArithmeticError, TypeError, AttributeError, MemoryError) as error:
        # What the schema's readers raise when an offset leads out of the file.
        raise ModelError(f"the TFLite file is damaged ({error}); download it again") from None
    faults = _faults(network)
    if faults:
        raise ModelError(f"the TFLite file is damaged ({'; '.join(faults[:3])}); download it again")
    return network


def _faults(network: Network) -> list[str]:
    """Operators and ends of the graph that name tensors which are not there; -1 is an input that is left out."""
    count = len(network.tensors)
    faults = [
        f"its {name} are {numbers}"
        for name, numbers in (("inputs", network.inputs), ("outputs", network.outputs))
        if not numbers or any(not 0 <= number < count for number in numbers)
    ]
    for place, operator in enumerate(network.operators):
        if any(not -1 <= number < count for number in operator.inputs) or any(
            not 0 <= number < count for number in operator.outputs
        ):
            faults.append(f"operator {place} ({operator.kind}) names tensors beyond {count - 1}")
    return faults


def _network(model: Any) -> Network:
    for name, length in (("operators", model.OperatorCodesLength()), ("buffers", model.BuffersLength())):
        if length > MAX_PARTS:
            raise ValueError(f"{length} {name}")
    if model.SubgraphsLength() != 1:
        raise ModelError(f"the TFLite file has {model.SubgraphsLength()} graphs, expected one")
    graph = model.Subgraphs(0)
    if graph.TensorsLength() > MAX_PARTS or graph.OperatorsLength() > MAX_PARTS:
        raise ValueError(f"{graph.TensorsLength()} tensors and {graph.OperatorsLength()} operators")
    tensors = tuple(_tensor(model, graph.Tensors(number)) for number in range(graph.TensorsLength()))
    operators = tuple(_operator(model, graph.Operators(number)) for number in range(graph.OperatorsLength()))
    return Network(tensors, operators, _numbers(graph.InputsAsNumpy()), _numbers(graph.OutputsAsNumpy()))


def _numbers(array: Any) -> tuple[int, ...]:
    # The generated readers return the number 0 for a vector that is not there.
    return tuple(int(value) for value in array) if isinstance(array, np.ndarray) else ()


def _tensor(model: Any, tensor: Any) -> Tensor:
    name, shape = (tensor.Name() or b"").decode(), _numbers(tensor.ShapeAsNumpy())
    quantization = tensor.Quantization()
    if quantization is not None and quantization.ScaleLength():
        raise ModelError(f"tensor {name!r} is quantised; only float32 and float16 files can be converted")
    content = model.Buffers(tensor.Buffer()).DataAsNumpy()
    dtype = DTYPES.get(tensor.Type())
    if not isinstance(content, np.ndarray) or dtype is None:
        return Tensor(name, shape, None)
    return Tensor(name, shape, content.view(dtype).reshape(shape))


def _operator(model: Any, operator: Any) -> Operator:
    code = model.OperatorCodes(operator.OpcodeIndex())
    # Codes under 127 are in the older, one byte field; newer writers fill both.
    kind = KINDS[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
    inputs, outputs = _numbers(operator.InputsAsNumpy()), _numbers(operator.OutputsAsNumpy())
    return Operator(kind, inputs, outputs, _options(operator))


def _options(operator: Any) -> dict[str, Any]:
    """All scalar fields of the operator's option table: the generated methods that take no argument."""
    table = getattr(tflite, OPTION_TABLES[operator.BuiltinOptionsType()], None)
    content = operator.BuiltinOptions()
    if table is None or content is None:
        return {}
    reader = table()
    reader.Init(content.Bytes, content.Pos)
    return {
        name: getattr(reader, name)()
        for name, method in inspect.getmembers(table, inspect.isfunction)
        if name[0].isupper()
        and len(inspect.signature(method).parameters) == 1
        and not name.endswith(("AsNumpy", "IsNone", "Length"))
    }
