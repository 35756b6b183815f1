"""Activation functions from a network's raw output to scores in 0..1."""

from __future__ import annotations

import numpy as np

from birdwatch.audio.types import FloatArray

__all__ = ["activated"]


def activated(raw: FloatArray, activation: str) -> FloatArray:
    """Scores of raw outputs `(..., classes)`; activation is the manifest's: sigmoid, softmax or none."""
    if activation == "none":
        return raw
    if activation == "sigmoid":
        # float64 exponentials, rounded: the C library's float32 ones, which NumPy's own are not. Below -88 they are
        # infinite and the score is 0.
        with np.errstate(over="ignore"):
            powers = np.exp(-raw.astype(np.float64)).astype(np.float32)
        return np.asarray(np.float32(1.0) / (np.float32(1.0) + powers), np.float32)
    powers = np.exp(raw - raw.max(axis=-1, keepdims=True, initial=-np.inf))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)
