"""Downmix to mono, equal bit for bit for recordings and live sources."""

from __future__ import annotations

import numpy as np

from birdwatch.audio.types import FloatArray

__all__ = ["mono"]


def mono(samples: FloatArray, channel: int | None) -> FloatArray:
    """`channel` `(n,)` of samples `(n, channels)`, or with None the mean of all; one that is missing is the last one.

    The mean of +infinity and -infinity is NaN, which `birdwatch.audio.finite` cuts out.
    """
    channels = samples.shape[1]
    if channel is None and channels > 1:
        # Of eight channels and more, NumPy's order of summation depends on the layout in memory: one layout for all.
        with np.errstate(invalid="ignore", over="ignore"):
            return np.asarray(np.ascontiguousarray(samples).mean(axis=1, dtype=np.float32))
    return np.ascontiguousarray(samples[:, min(channel or 0, channels - 1)])
