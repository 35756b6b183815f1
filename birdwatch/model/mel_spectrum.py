"""Mel power spectra of windows of samples: Slaney's filters over Hann-weighted transforms, as librosa computes them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from birdwatch.model.frontend_spec import FrontendSpec
from birdwatch.model.real_fft import rfft_rows
from birdwatch.model.sparse_product import SparseMatrix

__all__ = ["Bands", "FloatArray", "MelRows", "bands", "frozen", "hann_window", "mel_filterbank"]

FloatArray = npt.NDArray[np.float32]


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
    return frozen(weights)


@lru_cache(maxsize=8)
def hann_window(n_fft: int) -> FloatArray:
    """The periodic Hann window, float32 `(n_fft,)`, read-only: what `librosa.stft` multiplies its frames with."""
    return frozen(0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n_fft) / n_fft))


def frozen(values: npt.NDArray[np.float64]) -> FloatArray:
    """The values as float32, read-only."""
    array = values.astype(np.float32)
    array.flags.writeable = False
    return array


# Blocks (rows, columns, weights) that hold every non-zero of a matrix whose non-zeros lie along its diagonal.
Bands = tuple[tuple[slice, slice, FloatArray], ...]


def bands(matrix: FloatArray, rows: int) -> Bands:
    """Cut a matrix into groups of `rows` rows, each with only the columns in which it is not zero."""
    found = []
    for first in range(0, len(matrix), rows):
        group = matrix[first : first + rows]
        used = np.flatnonzero(group.any(axis=0))
        columns = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 1)
        found.append((slice(first, first + len(group)), columns, np.ascontiguousarray(group[:, columns])))
    return tuple(found)


@lru_cache(maxsize=8)
def mel_filters(spec: FrontendSpec) -> tuple[slice, SparseMatrix]:
    """The bins that the filterbank uses, and its weights over them: 879 of 128 x 446 are not zero."""
    filters = mel_filterbank(spec)
    used = np.flatnonzero(filters.any(axis=0))
    bins = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 1)
    return bins, SparseMatrix(filters[:, bins])


# Spectra at a time: their frames and transforms, 1 MB, stay in a core's cache, and calls are still few.
SPECTRA = 80


class MelRows:
    """Mel powers `(T, n_mels)` of windows of one length; `of` each of them in turn.

    All memory is its own, so threads can work side by side, and is used again for the next window: one window at a
    time stays in the processor's cache. The bits of a spectrum's powers depend on its samples alone.
    """

    def __init__(self, n: int, spec: FrontendSpec) -> None:
        self._hop, self._pad = spec.hop_frames, spec.n_fft // 2
        self._hann = hann_window(spec.n_fft)
        self._bins, self._filters = mel_filters(spec)
        count = 1 + n // self._hop
        # Spectra [first, end) reach into the padding at neither end.
        self._first = min(-(-self._pad // self._hop), count)
        self._end = max(self._first, min((n - self._pad) // self._hop + 1, count))
        self._padded = np.zeros(n + 2 * self._pad, np.float32)
        self._frames = np.lib.stride_tricks.sliding_window_view(self._padded, spec.n_fft)[:: self._hop][:count]
        self._framed = np.empty((SPECTRA, spec.n_fft), np.float32)
        self._spectra = np.empty((SPECTRA, spec.n_fft // 2 + 1), np.complex64)
        # From here on a spectrum is a column.
        self._used = np.zeros((self._bins.stop - self._bins.start, SPECTRA), np.complex64)
        self._squares = np.zeros(self._used.shape, np.float32)
        self._mels = np.empty((spec.n_mels, SPECTRA), np.float32)
        self._power = np.empty((count, spec.n_mels), np.float32)
        self._before: FloatArray | None = None

    def of(self, window: FloatArray, shift: int = 0) -> FloatArray:
        """The powers of `window` `(n,)`, in memory that the next call reuses.

        shift: frames from the start of the window before to this one's, or 0. Spectra that both hold are not computed
        again: what was returned must be as it was.
        """
        if not np.isfinite(window).all():
            raise ValueError("samples hold NaN or infinity; drop such audio before the front end")
        self._padded[self._pad : self._pad + len(window)] = window
        count, shared = len(self._power), self._take_shared(window, shift)
        rows = np.r_[self._first + shared : count, : self._first] if shared else np.arange(count)
        for start in range(0, len(rows), SPECTRA):
            some = rows[start : start + SPECTRA]
            # Neighbours as a slice, which copies nothing.
            together = some[-1] - some[0] == len(some) - 1
            self._compute(slice(int(some[0]), int(some[-1]) + 1) if together else some)
        return self._power

    def _take_shared(self, window: FloatArray, shift: int) -> int:
        """Move the powers that the window before holds as well to their new place; how many they are."""
        before, self._before = self._before, window
        step, rest = divmod(shift, self._hop)
        shared = self._end - self._first - step
        # Compared, although they should be of one stream: an image must not depend on another window.
        if before is None or rest or step < 1 or shared < 1 or not np.array_equal(before[shift:], window[:-shift]):
            return 0
        self._power[self._first : self._end - step] = self._power[self._first + step : self._end]
        return shared

    def _compute(self, rows: slice | npt.NDArray[np.intp]) -> None:
        """Compute the powers of up to SPECTRA `rows`."""
        part = self._frames[rows]
        count = len(part)
        np.multiply(part, self._hann, out=self._framed[:count])
        rfft_rows(self._framed[:count], self._spectra[:count])
        self._used[:, :count] = self._spectra[:count, self._bins].T
        self._used[:, count:] = 0.0
        parts = self._used.view(np.float32)  # (bins, 2 * SPECTRA): re, im, re, ...
        np.multiply(parts, parts, out=parts)
        np.add(parts[:, 0::2], parts[:, 1::2], out=self._squares)
        self._filters.product(self._squares, self._mels)
        self._power[rows] = self._mels[:, :count].T
