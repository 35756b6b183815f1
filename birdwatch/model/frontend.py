"""The audio front end: windows of samples in, min-max scaled log-mel images out.

The trainer, the exporter, the daemon and the benchmarks all call this module. It equals, pixel by pixel, what the
published BirdCLEF 2025 EfficientNetB0 notebooks compute with librosa 0.11 and OpenCV:

    S  = librosa.feature.melspectrogram(y=y, sr=32000, n_fft=1024, hop_length=512, n_mels=128, fmin=50, fmax=14000)
    dB = librosa.power_to_db(S, ref=np.max)                  # top_db = 80
    x  = (dB - dB.min()) / (dB.max() - dB.min() + 1e-8)      # per window
    x  = cv2.resize(x, (256, 256), interpolation=cv2.INTER_LINEAR)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from birdwatch.errors import ConfigError
from birdwatch.model.manifest_faults import frontend_faults, shown
from birdwatch.model.real_fft import rfft_rows

__all__ = ["FrontendSpec", "hann_window", "image_from_mel", "log_mel", "mel_filterbank", "mel_power", "resize_matrix"]

FloatArray = npt.NDArray[np.float32]

# librosa.power_to_db's floor: powers under it are digital silence.
AMIN = 1e-10
# Keeps the min-max scaling of a constant image finite; the published notebooks' value.
EPSILON = 1e-8
# A decibel in natural logarithms.
DECIBEL = float(np.log(10.0)) / 10.0


@dataclass(frozen=True, slots=True)
class FrontendSpec:
    """Every number that defines the front end; two specs that are equal give equal images.

    Units are in the names. `height` and `width` are the image's mel and time pixels. The string fields admit one
    value today; they are written out so that a model file says them and another value is refused, not guessed.
    """

    rate_hz: int = 32000
    window_frames: int = 160000
    n_fft: int = 1024
    hop_frames: int = 512
    n_mels: int = 128
    fmin_hz: float = 50.0
    fmax_hz: float = 14000.0
    top_db: float = 80.0
    height: int = 256
    width: int = 256
    mel_scale: str = "slaney"
    mel_norm: str = "slaney"
    fft_window: str = "hann"
    scaling: str = "min-max"
    resize: str = "bilinear"

    def __post_init__(self) -> None:
        faults = [
            f"{name} is {shown(getattr(self, name))}, this version knows only {known!r}"
            for name, known in (
                ("mel_scale", "slaney"),
                ("mel_norm", "slaney"),
                ("fft_window", "hann"),
                ("scaling", "min-max"),
                ("resize", "bilinear"),
            )
            if getattr(self, name) != known
        ]
        # Sizes and types first: the rest compares numbers.
        numbers = frontend_faults(asdict(self))
        faults += numbers
        if not numbers and not 0 <= self.fmin_hz < self.fmax_hz <= self.rate_hz / 2:
            faults.append(
                f"fmin_hz {self.fmin_hz} and fmax_hz {self.fmax_hz} must satisfy 0 <= fmin < fmax <= "
                f"half of rate_hz ({self.rate_hz / 2})"
            )
        if not numbers and self.top_db <= 0:
            faults.append(f"top_db is {self.top_db}, it must be above 0")
        if faults:
            raise ConfigError("front end: " + "; ".join(faults))

    @property
    def spectra(self) -> int:
        """Number of spectra (columns before the resize) in a window, its ends padded by half an FFT."""
        return 1 + self.window_frames // self.hop_frames

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change with any field: the key of mel caches and of models."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> FrontendSpec:
        """The spec that `dataclasses.asdict` wrote; unknown and missing fields raise ConfigError."""
        known = {field.name for field in fields(cls)}
        unknown, missing = sorted(set(values) - known), sorted(known - set(values))
        if unknown or missing:
            raise ConfigError(f"front end: unknown fields {shown(unknown)}, missing fields {missing}")
        return cls(**values)


def _hz_to_mel(hz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Slaney's mel scale (Auditory Toolbox): linear below 1 kHz, logarithmic above."""
    linear = hz * 3.0 / 200.0
    log = 15.0 + 27.0 * np.log(np.maximum(hz, 1e-12) / 1000.0) / np.log(6.4)
    return np.where(hz < 1000.0, linear, log)


def _mel_to_hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(mel < 15.0, mel * 200.0 / 3.0, 1000.0 * np.exp((mel - 15.0) * np.log(6.4) / 27.0))


@lru_cache(maxsize=8)
def mel_filterbank(spec: FrontendSpec) -> FloatArray:
    """The triangular mel filters, float32 `(n_mels, n_fft // 2 + 1)`, read-only; each has unit area in hertz.

    Slaney's scale and norm, as `librosa.filters.mel` with its defaults.
    """
    bins_hz = np.linspace(0.0, spec.rate_hz / 2, spec.n_fft // 2 + 1)
    low, high = _hz_to_mel(np.array([spec.fmin_hz, spec.fmax_hz]))
    corners_hz = _mel_to_hz(np.linspace(low, high, spec.n_mels + 2))
    rising = (bins_hz - corners_hz[:-2, None]) / np.diff(corners_hz)[:-1, None]
    falling = (corners_hz[2:, None] - bins_hz) / np.diff(corners_hz)[1:, None]
    weights = np.maximum(0.0, np.minimum(rising, falling)) * (2.0 / (corners_hz[2:] - corners_hz[:-2]))[:, None]
    return _frozen(weights)


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
    return _frozen(matrix)


@lru_cache(maxsize=8)
def hann_window(n_fft: int) -> FloatArray:
    """The periodic Hann window, float32 `(n_fft,)`, read-only: what `librosa.stft` multiplies its frames with."""
    return _frozen(0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n_fft) / n_fft))


def _frozen(values: npt.NDArray[np.float64]) -> FloatArray:
    array = values.astype(np.float32)
    array.flags.writeable = False
    return array


# Blocks (rows, columns, weights) that hold every non-zero of a matrix whose non-zeros lie along its diagonal.
Bands = tuple[tuple[slice, slice, FloatArray], ...]


def _bands(matrix: FloatArray, rows: int) -> Bands:
    """Cut a matrix into groups of `rows` rows, each with only the columns in which it is not zero."""
    bands = []
    for first in range(0, len(matrix), rows):
        group = matrix[first : first + rows]
        used = np.flatnonzero(group.any(axis=0))
        columns = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 1)
        bands.append((slice(first, first + len(group)), columns, np.ascontiguousarray(group[:, columns])))
    return tuple(bands)


@lru_cache(maxsize=8)
def _mel_bands(spec: FrontendSpec) -> Bands:
    """The filterbank over interleaved squares (re^2, im^2, re^2, ...): its product adds the two up as well.

    879 of the 128 x 513 weights are not zero; groups of 16 filters leave a seventh of the products to do.
    """
    return _bands(np.repeat(mel_filterbank(spec), 2, axis=1), 16)


@lru_cache(maxsize=16)
def _row_bands(source: int, target: int) -> Bands:
    return _bands(resize_matrix(source, target), 32)


@lru_cache(maxsize=16)
def _column_taps(
    source: int, target: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    left, right, share = _taps(source, target)
    return left, right, _frozen(share[:, None])


# Spectra at a time: their frames and transforms, 0.7 MB, stay in a core's cache, and calls are still few.
SPECTRA = 80


def _mel_rows(samples: FloatArray, spec: FrontendSpec) -> Iterator[FloatArray]:
    """Mel powers `(T, n_mels)` of each window of samples `(B, n)`, one at a time, in memory that the next one reuses.

    One window at a time: it stays in the processor's cache, and no window's numbers can depend on how many others
    came with it. All memory is this call's own, so threads can work side by side.
    """
    if samples.ndim != 2 or samples.dtype != np.float32:
        raise ValueError(f"samples must be float32 (B, n); got {samples.dtype} {samples.shape}")
    n = samples.shape[1]
    count = 1 + n // spec.hop_frames
    pad = spec.n_fft // 2
    padded = np.zeros(n + 2 * pad, np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, spec.n_fft)[:: spec.hop_frames][:count]
    hann, bands = hann_window(spec.n_fft), _mel_bands(spec)
    framed = np.empty((min(SPECTRA, count), spec.n_fft), np.float32)
    spectra = np.empty((len(framed), spec.n_fft // 2 + 1), np.complex64)
    power = np.empty((count, spec.n_mels), np.float32)
    for window in samples:
        if not np.isfinite(window).all():
            raise ValueError("samples hold NaN or infinity; drop such audio before the front end")
        padded[pad : pad + n] = window
        for first in range(0, count, SPECTRA):
            part = frames[first : first + SPECTRA]
            np.multiply(part, hann, out=framed[: len(part)])
            # (t, 2 * bins): re, im, re, ...
            squares = rfft_rows(framed[: len(part)], spectra[: len(part)]).view(np.float32)
            np.multiply(squares, squares, out=squares)
            for filters, bins, weights in bands:
                np.matmul(squares[:, bins], weights.T, out=power[first : first + len(part), filters])
        yield power


def _scaled(power: FloatArray, spec: FrontendSpec) -> FloatArray:
    """Powers of one window, in any order, to decibels clipped at top_db and scaled to 0..1; overwrites `power`."""
    # Relative to the window's own maximum, so the clip at top_db is too: never the batch's. Logarithms keep order, so
    # the extremes are found before them; their base cancels in the scaling, and numpy.log is its fastest one.
    high = max(float(power.max()), AMIN)
    np.maximum(power, max(high * 10.0 ** (-spec.top_db / 10.0), AMIN), out=power)
    np.log(power, out=power)
    power -= power.min()
    power *= 1.0 / (float(power.max()) + EPSILON * DECIBEL)
    return power


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


def mel_power(samples: FloatArray, spec: FrontendSpec = FrontendSpec()) -> FloatArray:
    """Mel power spectrograms of samples `(B, n)`, float32 `(B, n_mels, 1 + n // hop_frames)`, for any length n.

    `librosa.feature.melspectrogram` with power 2, centred spectra and zero padding. Raises ValueError on another
    shape or dtype, or on NaN or infinity.
    """
    rows = _mel_rows(samples, spec)
    power = np.empty((len(samples), spec.n_mels, 1 + samples.shape[-1] // spec.hop_frames), np.float32)
    for out, window in zip(power, rows, strict=True):
        out[:] = window.T
    return power


def image_from_mel(power: FloatArray, spec: FrontendSpec = FrontendSpec()) -> FloatArray:
    """Images `(B, 1, height, width)` in 0..1 from mel powers `(B, n_mels, T)`: dB, min-max and resize per window."""
    images = np.empty((len(power), 1, spec.height, spec.width), np.float32)
    for window, out in zip(power, images, strict=True):
        _resized(_scaled(np.array(window.T, order="C"), spec), spec, out[0])
    return images


def log_mel(samples: FloatArray, spec: FrontendSpec = FrontendSpec()) -> FloatArray:
    """Images float32 `(B, 1, height, width)` of windows `(B, window_frames)` float32 +-1; row 0 is the lowest mel.

    Each window is scaled by its own extremes, so gain does not matter, an image depends on its window alone, and
    digital silence is all zeros. Raises ValueError on another shape or dtype, or on NaN or infinity.
    """
    if samples.ndim != 2 or samples.shape[1] != spec.window_frames:
        raise ValueError(f"samples must have shape (B, {spec.window_frames}); got {samples.shape}")
    images = np.empty((len(samples), 1, spec.height, spec.width), np.float32)
    for power, out in zip(_mel_rows(samples, spec), images, strict=True):
        _resized(_scaled(power, spec), spec, out[0])
    return images
