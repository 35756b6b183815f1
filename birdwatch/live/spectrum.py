"""Columns of a live mel image for display: ten a second, computed only while a subscriber wants them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from birdwatch.audio.types import AudioBlock, FloatArray
from birdwatch.messaging.messages import Spectrum
from birdwatch.model.frontend import FrontendSpec, hann_window, mel_filterbank

__all__ = ["SpectrumFeed"]

COLUMNS_PER_SECOND = 10
# Columns of one message: half a second of delay, two messages a second.
COLUMNS_PER_MESSAGE = 5
# Transforms averaged into a column: together they cover all of it.
TRANSFORMS = 6
LOW_HZ, HIGH_HZ = 50.0, 14000.0
FLOOR_DB, CEILING_DB = -100.0, 0.0


class SpectrumFeed:
    """`push` blocks of one stream; whole messages' columns are handed to `send`.

    wanted: asked at every block; while it is not, nothing is computed.
    """

    def __init__(self, wanted: Callable[[], bool], send: Callable[[Spectrum], None]) -> None:
        self._wanted = wanted
        self._send = send
        self._rate_hz = 0
        self._filters: FloatArray = np.empty((0, 0), np.float32)
        self._window: FloatArray = np.empty(0, np.float32)
        self._high_hz = HIGH_HZ
        self._held: list[FloatArray] = []
        self._start_frame = 0
        self._frames = 0

    def push(self, block: AudioBlock) -> None:
        """Take a mono block at its device's rate; what came before missing frames is discarded."""
        if not self._wanted():
            self._held, self._frames = [], 0
            return
        if block.rate_hz != self._rate_hz:
            self._prepare(block.rate_hz)
        if not self._held or block.start_frame != self._start_frame + self._frames:
            self._held, self._frames, self._start_frame = [], 0, block.start_frame
        self._held.append(block.samples)
        self._frames += len(block.samples)
        column = self._rate_hz // COLUMNS_PER_SECOND
        length = column * COLUMNS_PER_MESSAGE
        if self._frames >= length:
            samples = np.concatenate(self._held)
            while len(samples) >= length:
                self._send(self._spectrum(samples[:length].reshape(COLUMNS_PER_MESSAGE, column)))
                samples = samples[length:]
                self._start_frame += length
            self._held, self._frames = [samples], len(samples)

    def _prepare(self, rate_hz: int) -> None:
        """A filter bank in which a full-scale sine at a band's centre has a power of 1."""
        self._rate_hz = rate_hz
        self._held, self._frames = [], 0
        n_fft = 1 << max(6, (rate_hz // COLUMNS_PER_SECOND // 3).bit_length() - 1)
        self._high_hz = min(HIGH_HZ, rate_hz / 2)
        filters = mel_filterbank(FrontendSpec(rate_hz=rate_hz, n_fft=n_fft, fmin_hz=LOW_HZ, fmax_hz=self._high_hz))
        # Bands narrower than a bin have no weight: they show what the nearest bin holds.
        peaks = filters.max(axis=1, keepdims=True)
        self._filters = np.asarray(filters / np.where(peaks > 0, peaks, 1.0), np.float32)
        window = hann_window(n_fft)
        self._window = np.asarray(window * 2 / window.sum(), np.float32)

    def _spectrum(self, columns: FloatArray) -> Spectrum:
        """columns: samples `(columns, frames)`."""
        n_fft = len(self._window)
        starts = np.linspace(0, columns.shape[1] - n_fft, TRANSFORMS).astype(int)
        pieces = np.stack([columns[:, start : start + n_fft] for start in starts], axis=1)  # (columns, transforms, n)
        power = np.square(np.abs(np.fft.rfft(pieces * self._window, axis=-1))).mean(axis=1)  # (columns, bins)
        mel_db = 10 * np.log10(np.maximum(power @ self._filters.T, 1e-20))  # (columns, bands)
        scaled = (mel_db - FLOOR_DB) / (CEILING_DB - FLOOR_DB) * 255
        return Spectrum(
            levels=np.clip(np.round(scaled), 0, 255).astype(np.uint8),
            start_frame=self._start_frame,
            frames_per_column=columns.shape[1],
            rate_hz=self._rate_hz,
            low_hz=LOW_HZ,
            high_hz=self._high_hz,
            floor_db=FLOOR_DB,
            ceiling_db=CEILING_DB,
        )
