"""Windows to verify an export on: the probe's clips, more bird-like ones made by code, and real recordings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from birdwatch.audio import FloatArray, Window
from birdwatch.errors import SourceError
from birdwatch.model import Manifest
from birdwatch.pipeline import WindowStream
from birdwatch.probe import probe_clips
from birdwatch.sources.file import AudioFile

__all__ = ["made_windows", "real_windows", "verification_windows"]

# Enough of a recording to show its birds; verification takes a tenth of a second a window.
WINDOWS_PER_RECORDING = 4


def verification_windows(manifest: Manifest, recordings: Sequence[Path] = ()) -> tuple[FloatArray, str]:
    """Windows float32 `(8 or more, window_frames)` and what they are, in words for the manifest."""
    made = made_windows(manifest.rate_hz, manifest.window_frames)
    if not recordings:
        return made, f"{len(made)} windows made by code (songs, trills, noise, clicks, silence)"
    real = real_windows(manifest, recordings)
    return (
        np.concatenate([real, made]),
        f"{len(real)} windows of {len(recordings)} recordings and {len(made)} made by code",
    )


def made_windows(rate_hz: int, window_frames: int, seed: int = 0) -> FloatArray:
    """Fourteen windows: the probe's four, the extremes, and eight of songs over coloured noise at many levels."""
    rng = np.random.default_rng(seed)
    t = np.arange(window_frames) / rate_hz
    click = np.zeros(window_frames)
    click[window_frames // 2] = 1.0
    square = np.sign(rng.standard_normal(window_frames))  # noise at full scale, both rails
    made = [click, square, *(_song(rng, t) for _ in range(8))]
    return np.concatenate([probe_clips(window_frames), np.stack(made).astype(np.float32)])


def _song(rng: np.random.Generator, t: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Syllables with vibrato and a harmonic over brown-to-white noise, at a level of -60 to 0 dB."""
    noise = np.fft.irfft(
        np.fft.rfft(rng.standard_normal(len(t))) / np.arange(1, len(t) // 2 + 2) ** rng.uniform(0, 1), len(t)
    )
    song = 10 ** rng.uniform(-3, -0.5) * noise / np.abs(noise).max()
    start = rng.uniform(0, 0.3)
    while start < t[-1]:
        length = rng.uniform(0.03, 0.4)
        hz = rng.uniform(1500, 7500) * (1 + rng.uniform(-0.3, 0.3) * (t - start) / length)
        hz = hz + rng.uniform(0, 300) * np.sin(2 * np.pi * rng.uniform(5, 60) * t)
        phase = 2 * np.pi * np.cumsum(hz) / (len(t) / t[-1])
        envelope = np.where((t >= start) & (t < start + length), np.sin(np.pi * (t - start) / length) ** 2, 0.0)
        song = song + envelope * (np.sin(phase) + rng.uniform(0, 0.4) * np.sin(2 * phase))
        start += length + rng.uniform(0.02, 0.5)
    return np.asarray(song / np.abs(song).max() * 10 ** rng.uniform(-3, 0))


def real_windows(manifest: Manifest, recordings: Sequence[Path]) -> FloatArray:
    """The first windows of each recording, at the model's rate; raises SourceError (DecodeError) for bad audio."""
    windows: list[Window] = []
    for path in recordings:
        audio = AudioFile(path)
        stream = WindowStream(audio.rate_hz, manifest)
        found: list[Window] = []
        for block in audio.blocks():
            found += [item for item in stream.push(block) if isinstance(item, Window)]
            if len(found) >= WINDOWS_PER_RECORDING:
                break
        else:
            found += [item for item in stream.finish() if isinstance(item, Window)]
        windows += found[:WINDOWS_PER_RECORDING]
    if not windows:
        raise SourceError("the recordings for verification hold no audio; name others with --audio")
    return np.stack([window.samples for window in windows])
