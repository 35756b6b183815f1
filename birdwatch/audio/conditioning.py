"""Conditioning of a live signal before it is scored: amplification and a high-pass filter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from birdwatch.audio.finite import finite_runs
from birdwatch.audio.types import AudioBlock, FloatArray

__all__ = ["Conditioner", "Conditioning"]

# Wind and traffic noise is below 200 Hz: 24 dB per octave leave little of them.
ORDER = 4


@dataclass(frozen=True, slots=True)
class Conditioning:
    """gain_db: amplification. high_pass_hz: cut-off frequency (-3 dB) of a Butterworth filter, 0 for none."""

    gain_db: float = 0.0
    high_pass_hz: float = 0.0


class Conditioner:
    """Conditions a stream at `rate_hz` block by block; the result does not depend on how it is cut.

    NaN and infinity are passed on, and the filter is reset after them and after missing frames. A cut-off
    frequency at or above half the rate has no effect.
    """

    def __init__(self, conditioning: Conditioning, rate_hz: int) -> None:
        self._factor = np.float32(10.0 ** (conditioning.gain_db / 20.0))
        self._filter: npt.NDArray[np.float64] | None = None
        if 0.0 < conditioning.high_pass_hz < rate_hz / 2:
            from scipy.signal import butter  # half a second of start-up, only needed with a filter

            self._filter = butter(ORDER, conditioning.high_pass_hz, "highpass", fs=rate_hz, output="sos")
        self._state: npt.NDArray[np.float64] | None = None
        self._next_frame = -1

    def push(self, block: AudioBlock) -> AudioBlock:
        """The block, conditioned; the same object where there is nothing to do."""
        if self._filter is None and self._factor == 1.0:
            return block
        out = block.samples.copy()
        for run in finite_runs(block):
            begin = run.start_frame - block.start_frame
            out[begin : begin + len(run.samples)] = self._run(run)
        return AudioBlock(out, block.start_frame, block.rate_hz)

    def _run(self, run: AudioBlock) -> FloatArray:
        samples = run.samples * self._factor
        if self._filter is None:
            return samples
        if self._state is None or run.start_frame != self._next_frame:
            self._state = np.zeros((len(self._filter), 2))
        self._next_frame = run.end_frame
        from scipy.signal import sosfilt

        filtered, self._state = sosfilt(self._filter, samples.astype(np.float64), zi=self._state)
        return np.asarray(filtered, np.float32)
