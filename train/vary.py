"""Variations of recordings (speed, level, equalisation, mixtures, noise) that a teacher network labels.

An augmentation keeps the label of its recording; a variation may not, as a song played faster can be another species.
So the teacher scores exactly the audio that the student is trained on (Beyer et al., Knowledge distillation: A good
teacher is patient and consistent, CVPR 2022). A few recordings give many thousand examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np
import numpy.typing as npt
import soxr

from birdwatch.audio.types import FloatArray

__all__ = ["Played", "Variations", "equalised", "level", "made", "mixed", "played", "with_noise"]

# Control points of a random equaliser over the mel axis.
EQUALISER_POINTS = 5
LEVEL_S = 0.05
PEAK = 0.7


@dataclass(frozen=True, slots=True)
class Variations:
    """How sounds are varied; shares and chances 0 to 1.

    natural: share of the sounds played as they are; of the others the speed, and with it the pitch, is drawn between
    `slowest` and `fastest` (log-uniform), and `backwards` of them are reversed. labelled: share of windows with
    the species; the others are from anywhere. second: chance of a second sound, within +-`gain_db`. background: of
    a background at -25 to 0 dB. equaliser, low_pass, high_pass, noise: of each. nothing: share of backgrounds alone.
    """

    natural: float = 0.5
    slowest: float = 0.75
    fastest: float = 1.35
    backwards: float = 0.15
    labelled: float = 0.85
    second: float = 0.5
    gain_db: float = 6.0
    background: float = 0.35
    equaliser: float = 0.5
    equaliser_db: float = 5.0
    low_pass: float = 0.2
    high_pass: float = 0.15
    noise: float = 0.4
    nothing: float = 0.05


@dataclass(frozen=True, slots=True)
class Played:
    """How a sound is played: its speed (1: as it is), and whether backwards."""

    speed: float = 1.0
    backwards: bool = False

    @property
    def natural(self) -> bool:
        """At the original speed and direction, so that the recordist's label applies."""
        return self.speed == 1.0 and not self.backwards

    @classmethod
    def draw(cls, rng: np.random.Generator, how: Variations) -> Played:
        """Sample one."""
        if rng.random() < how.natural:
            return cls()
        speed = float(np.exp(rng.uniform(log(how.slowest), log(how.fastest))))
        return cls(speed, bool(rng.random() < how.backwards))


def played(samples: FloatArray, rate_hz: int, out_rate_hz: int, frames: int, how: Played) -> FloatArray:
    """Samples `(n,)` at `rate_hz`, played as `how` says: float32 `(frames,)` at `out_rate_hz`, a short end silent."""
    if rate_hz * how.speed != out_rate_hz:
        samples = soxr.resample(samples, rate_hz * how.speed, out_rate_hz)
    out = np.zeros(frames, np.float32)
    samples = samples[:frames]
    out[: len(samples)] = samples
    return np.ascontiguousarray(out[::-1]) if how.backwards else out


def level(samples: FloatArray, rate_hz: int) -> float:
    """How loud samples `(n,)` are where they are loud: the root mean square that 90 % of their 50 ms lack."""
    step = round(LEVEL_S * rate_hz)
    parts = samples[: len(samples) // step * step].reshape(-1, step)
    return float(np.sqrt(np.percentile((parts.astype(np.float64) ** 2).mean(axis=1), 90)))


def mixed(samples: FloatArray, other: FloatArray, rate_hz: int, gain_db: float) -> FloatArray:
    """Samples `(n,)` and another sound `(n,)`, `gain_db` louder than they are; where either is silent, as they are."""
    own, theirs = level(samples, rate_hz), level(other, rate_hz)
    scale = own / theirs * 10.0 ** (gain_db / 20.0) if own > 0.0 and theirs > 0.0 else 1.0
    return (samples + np.float32(scale) * other).astype(np.float32)


def equalised(samples: FloatArray, rate_hz: int, rng: np.random.Generator, how: Variations) -> FloatArray:
    """Samples `(n,)` through another microphone and codec: an equaliser, a low-pass and a high-pass, each by chance."""
    hz = np.fft.rfftfreq(len(samples), 1.0 / rate_hz)
    gain_db = np.zeros(len(hz))
    if rng.random() < how.equaliser:
        points = rng.normal(0.0, how.equaliser_db, EQUALISER_POINTS)
        gain_db += np.interp(_height(hz, rate_hz), np.linspace(0.0, 1.0, EQUALISER_POINTS), points)
    if rng.random() < how.low_pass:
        edge, depth = rng.uniform(3500.0, 14000.0), rng.uniform(15.0, 70.0)
        gain_db -= np.clip((hz - edge) / 800.0, 0.0, 1.0) * depth
    if rng.random() < how.high_pass:
        edge, depth = rng.uniform(100.0, 1200.0), rng.uniform(10.0, 40.0)
        gain_db -= np.clip((edge - hz) / 150.0, 0.0, 1.0) * depth
    if not gain_db.any():
        return samples
    spectrum = np.fft.rfft(samples) * 10.0 ** (gain_db / 20.0)
    return np.fft.irfft(spectrum, len(samples)).astype(np.float32)


def with_noise(samples: FloatArray, rate_hz: int, rng: np.random.Generator) -> FloatArray:
    """Samples `(n,)` over steady noise, 6 to 60 dB below them, that falls by 20 to -10 dB over the mel axis."""
    hz = np.fft.rfftfreq(len(samples), 1.0 / rate_hz)
    slope_db = rng.uniform(-20.0, 10.0) * _height(hz, rate_hz)
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(len(samples))) * 10.0 ** (slope_db / 20.0), len(samples))
    scale = level(samples, rate_hz) / noise.std() * 10.0 ** (rng.uniform(-60.0, -6.0) / 20.0)
    return np.asarray(samples + scale * noise, np.float32)


def made(
    sounds: Sequence[FloatArray], background: FloatArray | None, rate_hz: int, rng: np.random.Generator, how: Variations
) -> FloatArray:
    """One sound `(n,)` of one or more, a background underneath, through a microphone, over noise; its peak at 0.7."""
    samples = sounds[0]
    for other in sounds[1:]:
        samples = mixed(samples, other, rate_hz, rng.uniform(-how.gain_db, how.gain_db))
    if background is not None:
        samples = mixed(samples, background, rate_hz, rng.uniform(-25.0, 0.0))
    samples = equalised(samples, rate_hz, rng, how)
    if rng.random() < how.noise:
        samples = with_noise(samples, rate_hz, rng)
    peak = float(np.abs(samples).max())
    return np.asarray(samples * (PEAK / peak if peak > 0.0 else 1.0), np.float32)


def _height(hz: npt.NDArray[np.floating], rate_hz: int) -> npt.NDArray[np.float64]:
    """Where frequencies lie on the mel axis (O'Shaughnessy), 0 at 0 Hz, 1 at half the rate."""
    return np.asarray(np.log1p(hz / 700.0) / np.log1p(rate_hz / 2 / 700.0), np.float64)
