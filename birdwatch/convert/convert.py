"""A TFLite network as an ONNX model with dynamic batch: spectrogram layers rebuilt, all else operator by operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx

from birdwatch.convert.onnx_graph import BATCH, GraphWriter, Value
from birdwatch.convert.operators import OPERATORS, reshaped
from birdwatch.convert.spectrogram import SpectrogramLayer, find_spectrograms, write_spectrogram
from birdwatch.convert.tflite_file import Network, Operator
from birdwatch.errors import ModelError

__all__ = ["convert", "embedding_of"]

# What a network raises here whose shapes, options and tensors do not fit each other.
FAULTS = (
    *(LookupError, ValueError, TypeError, ArithmeticError, AttributeError, MemoryError),
    *(onnx.checker.ValidationError, onnx.shape_inference.InferenceError),
)


def embedding_of(network: Network) -> int:
    """The tensor that the last layer classifies: the input of the FULLY_CONNECTED that makes the network's output."""
    outputs = network.outputs[:1]
    last = next((operator for operator in network.operators if outputs and outputs[0] in operator.outputs), None)
    if last is None or last.kind != "FULLY_CONNECTED" or not last.inputs:
        raise ModelError(f"the network ends in {last.kind if last else 'nothing'}, expected FULLY_CONNECTED")
    return last.inputs[0]


def convert(network: Network, outputs: Mapping[str, int], *, input_name: str) -> onnx.ModelProto:
    """The ONNX model that computes the tensors `outputs`, by the name they get, from the network's only input.

    Raises ModelError that names every operator without a counterpart, or says that the file is damaged.
    """
    try:
        return _converted(network, outputs, input_name=input_name)
    except FAULTS as error:
        raise ModelError(
            f"the network cannot be converted ({type(error).__name__}: {error}); is it damaged?"
        ) from error


def _converted(network: Network, outputs: Mapping[str, int], *, input_name: str) -> onnx.ModelProto:
    if len(network.inputs) != 1:
        raise ModelError(f"the network has {len(network.inputs)} inputs, expected one")
    spectrograms = {layer.output: layer for layer in find_spectrograms(network)}
    operators = _needed(network, spectrograms, set(outputs.values()))
    ordinary = {operator.kind for operator in operators if operator.outputs[0] not in spectrograms}
    unknown = ordinary - set(OPERATORS) - {"DEQUANTIZE", "RESHAPE"}
    if unknown:
        raise ModelError(f"the network has operators that cannot be converted: {', '.join(sorted(unknown))}")
    graph, source = GraphWriter(), network.inputs[0]
    shape = (BATCH, *network.tensors[source].shape[1:])
    # What each tensor is so far: a Value once its node is written, else its constant.
    known: dict[int, Any] = {number: tensor.data for number, tensor in enumerate(network.tensors)}
    known[source], known[-1] = Value(input_name, shape), None
    for operator in operators:
        output = operator.outputs[0]
        if output in spectrograms:
            known[output] = write_spectrogram(spectrograms[output], known[spectrograms[output].source], graph)
        elif operator.kind == "DEQUANTIZE":  # float16 weights, widened
            known[output] = network.constant(operator.inputs[0]).astype(np.float32)
        elif operator.kind == "RESHAPE":
            # The new shape may be computed from the batch; what the file says of the result is the same.
            known[output] = reshaped(known[operator.inputs[0]], network.tensors[output].shape, graph)
        else:
            known[output] = OPERATORS[operator.kind](operator, [known[number] for number in operator.inputs], graph)
    results = {name: graph.channels_last(known[tensor]) for name, tensor in outputs.items()}
    return graph.model({input_name: shape}, {name: (value.name, value.shape) for name, value in results.items()})


def _needed(network: Network, spectrograms: Mapping[int, SpectrogramLayer], outputs: set[int]) -> list[Operator]:
    """The operators that lead to `outputs`, in their order; of a spectrogram layer only the last one."""
    wanted, found = set(outputs), []
    for operator in reversed(network.operators):
        if wanted.isdisjoint(operator.outputs):
            continue
        found.append(operator)
        if operator.outputs[0] in spectrograms:
            wanted.add(spectrograms[operator.outputs[0]].source)
        else:
            wanted.update(operator.inputs[:1] if operator.kind == "RESHAPE" else operator.inputs)
    return found[::-1]
