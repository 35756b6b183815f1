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

# Frames that go from samples to mels together: what lies in between, 0.6 MB in float64, stays in a core's cache. All at
# once, a third of the time of a window of BirdNET went into moving it.
FRAMES_AT_ONCE = 32


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


def folded_matrix(layer: SpectrogramLayer, rows: int) -> Array:
    """Real part of the FFT and filters as one matrix, float64 `(rows, mels)`.

    Row n weighs `x[n] + x[N - n]`, n = 1 .. N / 2; the last of these therefore counts the middle sample twice. All
    other rows are zero. (A periodic Hann window is zero at n = 0.) The columns are turned round: a picture's rows go
    from high to low.
    """
    size = len(layer.window)
    n, bins = np.arange(1, size // 2 + 1), np.arange(size // 2 + 1)
    cosines = np.cos(2.0 * np.pi / size * (n[:, None] * bins % size))  # (n, bin)
    cosines[-1] /= 2.0
    matrix: Array = np.zeros((rows, len(layer.filters)))
    matrix[n] = (cosines @ layer.filters.T.astype(np.float64))[:, ::-1]
    return matrix


def write_spectrogram(layer: SpectrogramLayer, samples: Value, graph: GraphWriter) -> Value:
    """The layer in ordinary ONNX operators: samples `(B, n)` in, `(B, mels, frames)` out.

    The samples are cut into blocks of one step, once forwards and once backwards from the last frame's end. Samples
    0 .. N / 2 of a frame, and its samples N .. N / 2, are then a few whole blocks each, which lie side by side.
    """
    size, step = len(layer.window), layer.step
    frames = 1 + (samples.shape[1] - size) // step
    wide = size // 2 // step + 1  # blocks that hold N / 2 + 1 samples
    length, end = (frames - 1 + wide) * step, (frames - 1) * step + size
    before, after = max(0, length - end - 1), max(0, max(end + 1, length) - samples.shape[1])
    padded = graph.node("Pad", samples.name, graph.constant([0, before, 0, after], np.int64))
    forwards = _blocks(padded, range(before, before + length), step, graph)
    backwards = _blocks(padded, range(before + end, before + end - length, -1), step, graph)
    # The window as the file has it, rounded to float32: its two halves differ in their last bits.
    halves = np.zeros((2, wide * step))
    halves[:, 1 : size // 2 + 1] = layer.window[1 : size // 2 + 1], layer.window[: size // 2 - 1 : -1]
    front, back = (graph.constant(half.reshape(wide, step)) for half in halves)
    matrix = graph.constant(folded_matrix(layer, wide * step), np.float64)
    parts = []
    for start in range(0, frames, FRAMES_AT_ONCE):
        numbers = np.arange(start, min(start + FRAMES_AT_ONCE, frames))
        # Float32 up to the window, then float64, as TFLite's FFT computes. Sums in float32 would drown the bands that
        # are quiet beside a loud one or a constant (silence is the constant -1 here); the exponent makes that visible.
        folded = graph.node(
            "Add",
            _windowed(forwards, numbers, front, wide, graph),
            _windowed(backwards, frames - 1 - numbers, back, wide, graph),
        )
        rows = graph.reshape(folded, (BATCH, len(numbers), wide * step))
        parts.append(graph.node("Cast", graph.node("MatMul", rows, matrix), to=TensorProto.FLOAT))
    sums = graph.node("Concat", *parts, axis=1)  # (B, frames, mels)
    picture = graph.node("Transpose", sums, perm=(0, 2, 1))
    # (s * s) ** e as exp(2 e log |s|): vectorised, where ONNX Runtime's Pow is not; log 0 = -inf gives 0 again.
    logarithm = graph.node("Log", graph.node("Abs", picture))
    name = graph.node("Exp", graph.node("Mul", logarithm, graph.constant(2.0 * layer.exponent)))
    return Value(name, (BATCH, layer.filters.shape[0], frames))


def _blocks(samples: str, which: range, step: int, graph: GraphWriter) -> str:
    """The samples `which`, in that order, in blocks of a step: `(B, blocks, step)`."""
    # Any stop below 0 counts from the end; this one is before sample 0.
    stop = which.stop if which.stop >= 0 else np.iinfo(np.int64).min
    bounds = [graph.constant([value], np.int64) for value in (which.start, stop, 1, which.step)]
    return graph.reshape(graph.node("Slice", samples, *bounds), (BATCH, len(which) // step, step))


def _windowed(blocks: str, first: npt.NDArray[np.intp], window: str, wide: int, graph: GraphWriter) -> str:
    """Half a frame from each of the blocks `first` on, times half a window: float64 `(B, frames, wide, step)`."""
    numbers = graph.constant(first[:, None] + np.arange(wide), np.int64)
    halves = graph.node("Gather", blocks, numbers, axis=1)
    return graph.node("Cast", graph.node("Mul", halves, window), to=TensorProto.DOUBLE)
