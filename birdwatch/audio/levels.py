"""The level of the input, and signs of a fault (digital silence, a stuck value, clipping)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from birdwatch.audio.types import FloatArray

__all__ = ["Level", "LevelMeter", "is_constant"]

# Under the level of half a 24-bit step: what a meter shows for digital zero.
FLOOR_DB = -150.0
# Full scale less one 16-bit step: a converter at its end stop.
CLIPPED = 1.0 - 1.5 / 32768
# A song thrush beside the microphone clips a sample now and then; this share of them is a gain set too high.
CLIPPED_SHARE = 1e-3
# This many samples distinguish most windows from a constant.
FIRST = 64


@dataclass(frozen=True, slots=True)
class Level:
    """The last second or so: root mean square and peak in dB of full scale, and `flags`.

    flags: `digital-zero` (nothing but zeros: muted, or no signal path), `stuck` (one other value throughout),
    `dc` (a constant part larger than all the rest), `clipping`.
    """

    rms_db: float = FLOOR_DB
    peak_db: float = FLOOR_DB
    flags: tuple[str, ...] = ()


def is_constant(samples: FloatArray) -> bool:
    """Whether all samples `(n,)` are equal: digital silence, which is not scored."""
    # For most windows the first samples decide.
    return bool(len(samples) and np.all(samples[:FIRST] == samples[0]) and np.all(samples == samples[0]))


class LevelMeter:
    """The level of a stream, second by second: `push` blocks, read `level`."""

    def __init__(self, rate_hz: int) -> None:
        self.level = Level()
        self._rate_hz = rate_hz
        self._held: list[FloatArray] = []
        self._frames = 0

    def push(self, samples: FloatArray) -> None:
        """Take samples `(n,)` +-1 into account."""
        self._held.append(samples)
        self._frames += len(samples)
        if self._frames >= self._rate_hz:
            self.level = _level(np.concatenate(self._held))
            self._held, self._frames = [], 0


def _level(samples: FloatArray) -> Level:
    mean = samples.mean()
    centred = samples - mean
    power = float(np.dot(centred, centred)) / len(samples)
    low, high = float(samples.min()), float(samples.max())
    peak = max(high, -low)
    flags = []
    if low == high:
        flags.append("digital-zero" if peak == 0.0 else "stuck")
    elif float(mean) ** 2 > power:
        flags.append("dc")
    if peak >= CLIPPED and low != high and float(np.mean(np.abs(samples) >= CLIPPED)) >= CLIPPED_SHARE:
        flags.append("clipping")
    return Level(_db(power**0.5), _db(peak), tuple(flags))


def _db(amplitude: float) -> float:
    return max(FLOOR_DB, 20.0 * float(np.log10(max(amplitude, 1e-12))))
