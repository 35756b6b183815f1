"""The resampling that BirdNET was trained with: resampy's `kaiser_fast`, for a stream, as matrix products.

Scores depend on the resampler: with another one, BirdNET's scores for a recording at 32 kHz move by 0.01 in the median
and by 0.1 now and then. The filter is a sinc under a Kaiser window, 24 zero crossings to each side, read from a table
by linear interpolation (https://github.com/bmcfee/resampy, interpn.py). Between two rates the same few filters come
back again and again, so that a stretch of output is one matrix, the same for every stretch.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import gcd

import numpy as np

from birdwatch.audio.types import FloatArray

__all__ = ["KaiserStream", "kaiser_possible"]

# resampy's `kaiser_fast`: its table has 512 entries between two zero crossings.
BETA, ROLLOFF, ZEROS, TABLE = 9.90322, 0.868212, 24, 512
# Outputs a row of the product, at least: rows overlap by the filter's length, so short ones would copy a lot.
ROW_OUT = 96
# Outputs that are computed together, at least. Always the same number, so that the result does not depend on blocks.
GROUP_OUT = 8192
# 32 MB: between rates with a tiny common divisor the matrix would be larger than that.
MAX_MATRIX = 1 << 23


def kaiser_possible(rate_hz: int, out_rate_hz: int) -> bool:
    """Whether the two rates have a common divisor that is large enough."""
    divisor = gcd(rate_hz, out_rate_hz)
    return (rate_hz // divisor) * (out_rate_hz // divisor) * 2 <= MAX_MATRIX


class KaiserStream:
    """Resamples a stream of float32 samples; `resample_chunk` as soxr's, its output the same for any chopping."""

    def __init__(self, rate_hz: int, out_rate_hz: int) -> None:
        self._matrix, self._left, self._step = _matrix(Fraction(rate_hz, out_rate_hz))
        self._ratio = Fraction(out_rate_hz, rate_hz)
        self._rows = -(-GROUP_OUT // self._matrix.shape[1])
        self._held: FloatArray = np.zeros(self._left, np.float32)
        self._frames_in = self._frames_out = 0

    @property
    def period(self) -> int:
        """Input frames from one group of outputs to the next."""
        return int(self._rows * self._step)

    def resample_chunk(self, samples: FloatArray, last: bool = False) -> FloatArray:
        """What `samples` `(n,)` complete; with `last`, all the rest."""
        self._frames_in += len(samples)
        self._held = np.concatenate([self._held, samples])
        width, out = self._matrix.shape
        needed = (self._rows - 1) * self._step + width
        if last:
            left = int(self._frames_in * self._ratio) - self._frames_out
            groups = -(-left // (self._rows * out))
            missing = max(0, needed + (groups - 1) * self._rows * self._step - len(self._held))
            self._held = np.concatenate([self._held, np.zeros(missing, np.float32)])
        pieces = []
        while len(self._held) >= needed:
            rows = np.lib.stride_tricks.sliding_window_view(self._held[:needed], width)[:: self._step]
            pieces.append((np.ascontiguousarray(rows) @ self._matrix).ravel())
            self._held = self._held[self._rows * self._step :]
        made = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
        if last:
            made = made[: max(0, left)]
        self._frames_out += len(made)
        return made


@lru_cache(maxsize=8)
def _matrix(per_output: Fraction) -> tuple[FloatArray, int, int]:
    """The filters of one row, float32 `(inputs, outputs)`; inputs before the row's own; inputs from row to row.

    per_output: input frames from one output frame to the next.
    """
    periods = -(-ROW_OUT // per_output.denominator)
    outputs, step = periods * per_output.denominator, periods * per_output.numerator
    half = np.arange(TABLE * ZEROS + 1)
    table = ROLLOFF * np.sinc(ROLLOFF * half / TABLE) * np.kaiser(2 * len(half) - 1, BETA)[len(half) - 1 :]
    scale = min(1.0, float(1 / per_output))
    table = table * scale
    slopes = np.diff(table, append=table[-1])
    stride = int(scale * TABLE)
    taps = -(-len(table) // stride)
    matrix = np.zeros((taps + step + taps, outputs))
    for output in range(outputs):
        time = output * per_output
        before = int(time)
        fraction = scale * float(time - before)
        # To the left from the input at or before the output's time, to the right from the one behind it.
        for offset, first, direction in ((fraction, before, -1), (scale - fraction, before + 1, 1)):
            index, rest = divmod(offset * TABLE, 1.0)
            count = (len(table) - int(index)) // stride
            places = int(index) + stride * np.arange(count)
            inputs = taps + first + direction * np.arange(count)
            matrix[inputs, output] += table[places] + rest * slopes[places]
    frozen = matrix.astype(np.float32)
    frozen.flags.writeable = False
    return frozen, taps, step
