"""Finds the spectrogram layers of a TFLite network and rebuilds each as one matrix product.

A layer cuts frames out of the samples, multiplies them with a Hann window, takes the real part (a cast, not the
magnitude) of their FFT, multiplies with mel filters, squares, raises to a power that was learnt and turns the
picture upside down. All but the last three steps are linear, so window, cosines and filters become one matrix
`(frame, mels)`; since Hann window and cosine are both even around the frame's middle, samples that lie opposite each
other are added first and half the matrix is enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from birdwatch.convert.onnx_graph import BATCH, GraphWriter, Value
from birdwatch.convert.tflite_file import Network, Operator
from birdwatch.errors import ModelError

__all__ = ["SpectrogramLayer", "find_spectrograms", "write_spectrogram"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class SpectrogramLayer:
    """One layer's numbers: `source` samples in, tensor `output` `(B, mels, frames)` out, rows from high to low.

    window (frame_length,); filters (mels, frame_length // 2 + 1); step: samples from frame to frame; exponent: of
    the squared sum.
    """

    source: int
    output: int
    window: Array
    filters: Array
    step: int
    exponent: float


class _Steps:
    """Walks a network's operators upwards and downwards from one of them."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._maker = {output: operator for operator in network.operators for output in operator.outputs}

    def above(self, operator: Operator, *kinds: str, port: int = 0) -> Operator:
        """The operator that made input `port`, and so on up; each must be of the named kind."""
        for kind in kinds:
            found = self._maker.get(operator.inputs[port])
            operator, port = self._expected(found, kind, operator), 0
        return operator

    def below(self, operator: Operator, *kinds: str) -> Operator:
        """The operator of the named kind that takes the output, and so on down."""
        for kind in kinds:
            users = (user for user in self._network.operators if operator.outputs[0] in user.inputs)
            operator = self._expected(next((user for user in users if user.kind == kind), None), kind, operator)
        return operator

    @staticmethod
    def _expected(found: Operator | None, kind: str, near: Operator) -> Operator:
        if found is None or found.kind != kind:
            name = "nothing" if found is None else found.kind
            raise ModelError(f"a spectrogram layer has {name} beside {near.kind}, expected {kind}")
        return found


def find_spectrograms(network: Network) -> Iterator[SpectrogramLayer]:
    """Each spectrogram layer in the network; raises ModelError where an RFFT2D stands in anything else."""
    steps = _Steps(network)
    for fft in network.operators:
        if fft.kind == "RFFT2D":
            yield _layer(network, steps, fft)


def _layer(network: Network, steps: _Steps, fft: Operator) -> SpectrogramLayer:
    windowed = steps.above(fft, "EXPAND_DIMS", "MUL")
    gather = steps.above(windowed, "RESHAPE", "GATHER")
    cut = steps.above(gather, "RESHAPE", "STRIDED_SLICE")
    # Frames are gathered as chunks, numbered range * chunks_a_step; a chunk is the gathered array's last axis.
    numbers = steps.above(steps.above(gather, "ADD", port=1), "RESHAPE", "MUL")
    chunk = network.tensors[gather.outputs[0]].shape[-1]
    step = int(network.constant(numbers.inputs[1])) * chunk
    filtered = steps.below(fft, "SQUEEZE", "CAST", "RESHAPE", "FULLY_CONNECTED")
    square = steps.below(filtered, "RESHAPE", "MUL")
    if square.inputs[0] != square.inputs[1]:
        raise ModelError("a spectrogram layer multiplies with something other than itself, expected its square")
    power = steps.below(square, "POW")
    turned = steps.below(power, "REVERSE_V2", "TRANSPOSE")
    window, filters = network.constant(windowed.inputs[1]), network.constant(filtered.inputs[1])
    if tuple(network.constant(fft.inputs[1])) != (1, len(window)) or filters.shape[1] != len(window) // 2 + 1:
        raise ModelError(f"a spectrogram layer's FFT, window ({len(window)}) and filters {filters.shape} do not fit")
    if np.abs(window[1:] - window[:0:-1]).max() > 1e-6:
        raise ModelError("a spectrogram layer's window is not even around its middle")
    exponent = float(network.constant(power.inputs[1]))
    return SpectrogramLayer(cut.inputs[0], turned.outputs[0], window, filters, step, exponent)


def folded_matrix(layer: SpectrogramLayer) -> Array:
    """Real part of the FFT and filters as one matrix, float64 `(frame_length // 2, mels)`.

    Row n - 1 weighs `x[n] + x[N - n]`, n = 1 .. N / 2; the last one therefore counts the middle sample twice. (A
    periodic Hann window is zero at n = 0.) The columns are turned round: a picture's rows go from high to low.
    """
    size = len(layer.window)
    n, bins = np.arange(1, size // 2 + 1), np.arange(size // 2 + 1)
    cosines = np.cos(2.0 * np.pi / size * (n[:, None] * bins % size))  # (n, bin)
    cosines[-1] /= 2.0
    matrix: Array = cosines @ layer.filters.T.astype(np.float64)
    return matrix[:, ::-1]


def write_spectrogram(layer: SpectrogramLayer, samples: Value, graph: GraphWriter) -> Value:
    """The layer in ordinary ONNX operators: samples `(B, n)` in, `(B, mels, frames)` out."""
    size, step = len(layer.window), layer.step
    frames = 1 + (samples.shape[1] - size) // step
    count = frames + (size - 1) // step  # whole steps that all frames together reach into
    fitted = _fitted(samples, count * step, graph)
    blocks = graph.reshape(fitted, (BATCH, count, step))
    backwards = graph.node("Slice", blocks, *_numbers(graph, [-1], [-step - 1], [2], [-1]))
    half = size // 2
    front = _cut(blocks, _pieces(1, half + 1, step), frames, graph)
    pieces = [(block, step - stop, step - start) for block, start, stop in _pieces(half, size, step)[::-1]]
    back = _cut(backwards, pieces, frames, graph)
    # Float32 up to the window, then float64, as TFLite's FFT computes. Sums in float32 would drown the bands that are
    # quiet beside a loud one or a constant (silence is the constant -1 here); the exponent makes that noise visible.
    front = graph.node("Mul", front, graph.constant(layer.window[1 : half + 1]))
    back = graph.node("Mul", back, graph.constant(layer.window[: half - 1 : -1]))
    folded = graph.node("Add", *(graph.node("Cast", part, to=TensorProto.DOUBLE) for part in (front, back)))
    matrix = graph.constant(folded_matrix(layer), np.float64)
    sums = graph.node("Cast", graph.node("MatMul", folded, matrix), to=TensorProto.FLOAT)  # (B, frames, mels)
    rows = graph.node("Transpose", sums, perm=(0, 2, 1))
    # (s * s) ** e as exp(2 e log |s|): vectorised, where ONNX Runtime's Pow is not; log 0 = -inf gives 0 again.
    logarithm = graph.node("Log", graph.node("Abs", rows))
    name = graph.node("Exp", graph.node("Mul", logarithm, graph.constant(2.0 * layer.exponent)))
    return Value(name, (BATCH, layer.filters.shape[0], frames))


def _fitted(samples: Value, length: int, graph: GraphWriter) -> str:
    """The samples cut or padded at their end; no frame reaches what is cut, no weight what is padded."""
    missing = length - samples.shape[1]
    if missing > 0:
        return graph.node("Pad", samples.name, graph.constant([0, 0, 0, missing], np.int64))
    return graph.node("Slice", samples.name, *_numbers(graph, [0], [length], [1])) if missing else samples.name


def _pieces(start: int, stop: int, step: int) -> list[tuple[int, int, int]]:
    """Samples `[start, stop)` of a frame as (block, first, end) within blocks of `step`."""
    blocks = range(start // step, (stop - 1) // step + 1)
    return [(block, max(start - block * step, 0), min(stop - block * step, step)) for block in blocks]


def _cut(blocks: str, pieces: list[tuple[int, int, int]], frames: int, graph: GraphWriter) -> str:
    """Every frame's pieces side by side, `(B, frames, samples)`: frame t starts in block t."""
    parts = [
        graph.node("Slice", blocks, *_numbers(graph, [block, start], [block + frames, stop], [1, 2]))
        for block, start, stop in pieces
    ]
    return graph.node("Concat", *parts, axis=2)


def _numbers(graph: GraphWriter, *lists: list[int]) -> list[str]:
    return [graph.constant(numbers, np.int64) for numbers in lists]
