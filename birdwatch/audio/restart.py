"""Frames at which a resampler can start in the middle of a stream and give the same bits as a continuous run.

Both resamplers compute their output in blocks: soxr by transforms of a fixed length, the matrix products by groups of
rows. Begun where such a block begins, they are in the state in which the whole stream would have them, once the zeros
before the first sample have left the filter. soxr does not tell how long its blocks are; when output comes shows it.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd, lcm

import numpy as np

from birdwatch.audio.kaiser_fast import KaiserStream
from birdwatch.audio.resample import Resampler, ResamplerKind
from birdwatch.audio.types import AudioBlock, FloatArray

__all__ = ["SETTLING_S", "restart_period"]

# Filters are at most a few hundred frames long; measured: 0.11 s at 8 kHz, the lowest rate of a recorder.
SETTLING_S = 0.5
# Between rates with a tiny common divisor the blocks come back to the same place only after hours.
MAX_PERIOD_S = 120
# Blocks after which soxr's pattern must have come back.
MAX_BLOCKS = 64


@lru_cache(maxsize=32)
def restart_period(rate_hz: int, out_rate_hz: int, *, kind: ResamplerKind) -> int | None:
    """Frames at `rate_hz` at each multiple of which a `Resampler` may begin: from `SETTLING_S` later on its bits are
    those of the whole stream. None if there is no such number; it is verified before it is returned.
    """
    if rate_hz == out_rate_hz:
        return 1
    period = _block(rate_hz, out_rate_hz, kind)
    if period is None:
        return None
    # The output's frames must begin there, too.
    period = lcm(period, rate_hz // gcd(rate_hz, out_rate_hz))
    if period > MAX_PERIOD_S * rate_hz:
        return None
    noise = np.random.default_rng(0).standard_normal(period + 2 * rate_hz, np.float32)
    whole, part = (_resampled(noise[first:], rate_hz, out_rate_hz, kind) for first in (0, period))
    settled = round(SETTLING_S * out_rate_hz)
    same = np.array_equal(whole[period * out_rate_hz // rate_hz + settled :], part[settled:])
    return period if same else None


def _block(rate_hz: int, out_rate_hz: int, kind: ResamplerKind) -> int | None:
    """Input frames after which the pattern of the output's blocks comes back."""
    resampler = Resampler(rate_hz, out_rate_hz, kind=kind)
    if resampler.kind == "kaiser_fast":
        return KaiserStream(rate_hz, out_rate_hz).period
    zero = np.zeros(1, np.float32)
    gaps: list[int] = []
    frame = last = 0
    # The first block is longer by the filter's delay.
    while len(gaps) <= MAX_BLOCKS:
        found = resampler.push(AudioBlock(zero, frame, rate_hz))
        frame += 1
        if found:
            gaps.append(frame - last)
            last = frame
            for count in range(1, len(gaps) // 3 + 1):
                if gaps[-count:] == gaps[-2 * count : -count] == gaps[-3 * count : -2 * count]:
                    return sum(gaps[-count:])
    return None


def _resampled(samples: FloatArray, rate_hz: int, out_rate_hz: int, kind: ResamplerKind) -> FloatArray:
    resampler = Resampler(rate_hz, out_rate_hz, kind=kind)
    blocks = resampler.push(AudioBlock(samples, 0, rate_hz)) + resampler.finish()
    return np.concatenate([block.samples for block in blocks])
