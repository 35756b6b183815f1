"""The audio front end: windows of samples in, min-max scaled log-mel images out.

The trainer, the exporter, the daemon and the benchmarks all call this module. It equals, pixel by pixel, what the
published BirdCLEF 2025 EfficientNetB0 notebooks compute with librosa 0.11 and OpenCV:

    S  = librosa.feature.melspectrogram(y=y, sr=32000, n_fft=1024, hop_length=512, n_mels=128, fmin=50, fmax=14000)
    dB = librosa.power_to_db(S, ref=np.max)                  # top_db = 80
    x  = (dB - dB.min()) / (dB.max() - dB.min() + 1e-8)      # per window
    x  = cv2.resize(x, (256, 256), interpolation=cv2.INTER_LINEAR)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from birdwatch.model.frontend_spec import FrontendSpec
from birdwatch.model.mel_spectrum import Bands, FloatArray, MelRows, bands, frozen, hann_window, mel_filterbank

__all__ = ["FrontendSpec", "hann_window", "image_from_mel", "log_mel", "mel_filterbank", "mel_power", "resize_matrix"]

# The published notebooks' front end.
PUBLISHED = FrontendSpec()
# librosa.power_to_db's floor: powers under it are digital silence.
AMIN = 1e-10
# Keeps the min-max scaling of a constant image finite; the published notebooks' value.
EPSILON = 1e-8
# A decibel in natural logarithms.
DECIBEL = float(np.log(10.0)) / 10.0


def _taps(source: int, target: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Each target point's left and right source point and the right one's share (cv2.INTER_LINEAR)."""
    position = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
    left = np.minimum(position.astype(np.intp), max(source - 2, 0))
    return left, np.minimum(left + 1, source - 1), position - left


@lru_cache(maxsize=16)
def resize_matrix(source: int, target: int) -> FloatArray:
    """Bilinear interpolation as a matrix `(target, source)`: half-pixel centres, edges repeated (cv2.INTER_LINEAR)."""
    left, right, share = _taps(source, target)
    matrix = np.zeros((target, source))
    np.add.at(matrix, (np.arange(target), left), 1.0 - share)
    np.add.at(matrix, (np.arange(target), right), share)
    return frozen(matrix)


@lru_cache(maxsize=16)
def _row_bands(source: int, target: int) -> Bands:
    return bands(resize_matrix(source, target), 32)


@lru_cache(maxsize=16)
def _column_taps(
    source: int, target: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    left, right, share = _taps(source, target)
    return left, right, frozen(share[:, None])


def _scaled(power: FloatArray, spec: FrontendSpec, *, out: FloatArray) -> FloatArray:
    """Powers of one window, in any order, to decibels clipped at top_db and scaled to 0..1, into `out`."""
    # Relative to the window's own maximum, so the clip at top_db is too: never the batch's. Logarithms keep order, so
    # the extremes are found before them; their base cancels in the scaling, and numpy.log is its fastest one.
    high = max(float(power.max()), AMIN)
    np.maximum(power, max(high * 10.0 ** (-spec.top_db / 10.0), AMIN), out=out)
    np.log(out, out=out)
    out -= out.min()
    out *= 1.0 / (float(out.max()) + EPSILON * DECIBEL)
    return out


def _resized(scaled: FloatArray, spec: FrontendSpec, out: FloatArray) -> None:
    """Resize values `(T, n_mels)` into the image `out` `(height, width)`: time by its two neighbours, mels by bands."""
    left, right, share = _column_taps(len(scaled), spec.width)
    columns = scaled[left]  # (width, mel)
    step = scaled[right]
    step -= columns
    step *= share
    columns += step
    for rows, mels, weights in _row_bands(spec.n_mels, spec.height):
        np.matmul(weights, columns[:, mels].T, out=out[rows])


def mel_power(samples: FloatArray, spec: FrontendSpec = PUBLISHED) -> FloatArray:
    """Mel power spectrograms of samples `(B, n)`, float32 `(B, n_mels, 1 + n // hop_frames)`, for any length n.

    `librosa.feature.melspectrogram` with power 2, centred spectra and zero padding. Raises ValueError on another
    shape or dtype, or on NaN or infinity.
    """
    if samples.ndim != 2 or samples.dtype != np.float32:
        raise ValueError(f"samples must be float32 (B, n); got {samples.dtype} {samples.shape}")
    rows = MelRows(samples.shape[1], spec)
    power = np.empty((len(samples), spec.n_mels, 1 + samples.shape[1] // spec.hop_frames), np.float32)
    for out, window in zip(power, samples, strict=True):
        out[:] = rows.of(window).T
    return power


def image_from_mel(power: FloatArray, spec: FrontendSpec = PUBLISHED) -> FloatArray:
    """Images `(B, 1, height, width)` in 0..1 from mel powers `(B, n_mels, T)`: dB, min-max and resize per window."""
    images = np.empty((len(power), 1, spec.height, spec.width), np.float32)
    for window, out in zip(power, images, strict=True):
        rows = np.array(window.T, order="C")
        _resized(_scaled(rows, spec, out=rows), spec, out[0])
    return images


def log_mel(
    windows: FloatArray | Sequence[FloatArray], spec: FrontendSpec = PUBLISHED, *, shift: int = 0
) -> FloatArray:
    """Images float32 `(B, 1, height, width)` of windows `(B, window_frames)` float32 +-1; row 0 is the lowest mel.

    Each window is scaled by its own extremes, so gain does not matter, an image depends on its window alone, and
    digital silence is all zeros. shift: frames from the start of one window to the start of the next, where they are
    of one stream: where it is a multiple of `hop_frames`, spectra in two windows are computed once, and the images are
    the same to the bit. Raises ValueError on another shape or dtype, or on NaN or infinity.
    """
    for window in windows:
        if window.dtype != np.float32 or window.shape != (spec.window_frames,):
            raise ValueError(
                f"samples must be float32 (B, {spec.window_frames}); a window is {window.dtype} {window.shape}"
            )
    images = np.empty((len(windows), 1, spec.height, spec.width), np.float32)
    rows = MelRows(spec.window_frames, spec)
    apart = np.empty((spec.spectra, spec.n_mels), np.float32) if shift else None
    for window, out in zip(windows, images, strict=True):
        power = rows.of(window, shift)
        _resized(_scaled(power, spec, out=power if apart is None else apart), spec, out[0])
    return images
