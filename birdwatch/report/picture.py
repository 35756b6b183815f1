"""The spectrogram of a detection as a PNG."""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.signal import ShortTimeFFT

from birdwatch.audio.types import FloatArray

__all__ = ["HEIGHT", "WIDTH", "png", "spectrogram_png"]

WIDTH = 400
HEIGHT = 200
# From the noise floor up: enough to show the faint end of a song, little enough to keep it clean.
RANGE_DB = 42.0
EMPTY_DB = 60.0
# Each row's noise is what it holds most of the time.
NOISE_PERCENTILE = 40
# Night, plum, ember, straw, paper: dark enough for both themes, rising in lightness for the colour-blind.
ANCHORS = ((10, 14, 28), (38, 28, 84), (112, 38, 112), (196, 68, 88), (243, 138, 62), (252, 214, 122), (255, 251, 235))


def spectrogram_png(samples: FloatArray, rate_hz: int, *, low_hz: float, high_hz: float) -> bytes:
    """The spectrogram of samples `(n,)` between two frequencies as a PNG of `WIDTH` x `HEIGHT` pixels.

    Linear in time and frequency, low at the bottom; each frequency's noise floor is taken off, so that songs stand out.
    """
    size = 1 << max(7, round(np.log2(rate_hz * 0.02)))
    step = max(1, len(samples) // (2 * WIDTH))
    padded = np.pad(samples, (0, max(0, size - len(samples)))).astype(np.float64)
    stft = ShortTimeFFT(np.hanning(size + 2)[1:-1], step, rate_hz)
    power = stft.spectrogram(padded, k_offset=0)  # (bins, T)
    wanted = (stft.f >= low_hz) & (stft.f <= high_hz)
    db = 10 * np.log10(power[wanted] + 1e-12)
    noise = np.percentile(db, NOISE_PERCENTILE, axis=1, keepdims=True)
    # A band that a filter emptied has no noise to take off; its scraps must not be blown up to full brightness.
    db -= np.maximum(noise, db.max() - EMPTY_DB) + 4.0
    rows = np.linspace(0, db.shape[0] - 1, HEIGHT)[::-1]
    columns = np.linspace(0, db.shape[1] - 1, WIDTH + 1)
    low = np.floor(rows).astype(int)
    high = np.minimum(low + 1, db.shape[0] - 1)
    between = db[low] + (rows - low)[:, None] * (db[high] - db[low])
    # The loudest of the spectra that share a pixel: a thin chirp must not fade because the picture is small.
    image = np.maximum.reduceat(between, np.floor(columns[:-1]).astype(int), axis=1)
    scaled = np.clip(image / max(12.0, min(RANGE_DB, float(image.max()))), 0, 1)
    # 64 steps: more are not visible, and the file is a third smaller.
    return png(np.round(scaled * 63).astype(np.uint8) * 4)


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """A PNG (ISO/IEC 15948) of `(height, width)` indices into the palette; no picture library is needed for this."""
    height, width = pixels.shape
    lines = np.zeros((height, width + 1), np.uint8)  # each line begins with its filter, 0: none
    lines[:, 1:] = pixels
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in (
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            (b"PLTE", _palette()),
            (b"IDAT", zlib.compress(lines.tobytes(), 9)),
            (b"IEND", b""),
        )
    )


@lru_cache(maxsize=1)
def _palette() -> bytes:
    anchors = np.array(ANCHORS, np.float64)
    at = np.linspace(0, len(anchors) - 1, 256)
    return (
        np.stack([np.interp(at, np.arange(len(anchors)), anchors[:, c]) for c in range(3)], axis=1)
        .astype(np.uint8)
        .tobytes()
    )
