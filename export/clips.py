"""Windows to verify an export on: the probe's clips, more bird-like ones made by code, and real recordings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from birdwatch.audio.file import AudioFile
from birdwatch.audio.types import FloatArray, Window
from birdwatch.errors import SourceError
from birdwatch.model.manifest import Manifest
from birdwatch.model.probe import probe_clips
from birdwatch.scores.pipeline import WindowStream

__all__ = ["made_windows", "real_windows", "verification_windows"]

# Enough of a recording to show its birds; verification takes a tenth of a second per window.
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


@lru_cache(maxsize=4)
def made_windows(rate_hz: int, window_frames: int, seed: int = 0) -> FloatArray:
    """Fourteen windows, read-only: the probe's four, a click, noise at full scale, and eight of songs over noise."""
    rng = np.random.default_rng(seed)
    click = np.zeros(window_frames)
    click[window_frames // 2] = 1.0
    square = np.sign(rng.standard_normal(window_frames))  # both rails, nothing between
    made = [click, square, *(_song(rng, rate_hz, window_frames) for _ in range(8))]
    windows = np.concatenate([probe_clips(window_frames), np.stack(made).astype(np.float32)])
    windows.flags.writeable = False
    return windows


def _song(rng: np.random.Generator, rate_hz: int, frames: int) -> npt.NDArray[np.float64]:
    """Syllables with vibrato and a harmonic over white-to-brown noise, at a level of -60 to 0 dB."""
    spectrum = np.fft.rfft(rng.standard_normal(frames)) / np.arange(1, frames // 2 + 2) ** rng.uniform(0, 1)
    noise = np.fft.irfft(spectrum, frames)
    song = 10 ** rng.uniform(-3, -0.5) * noise / np.abs(noise).max()
    start = int(rng.uniform(0, 0.3) * rate_hz)
    while start < frames:
        t = np.arange(int(rng.uniform(0.03, 0.4) * rate_hz)) / rate_hz
        hz = rng.uniform(0.05, 0.23) * rate_hz * (1 + rng.uniform(-0.3, 0.3) * np.linspace(0, 1, len(t)))
        hz += rng.uniform(0, 300) * np.sin(2 * np.pi * rng.uniform(5, 60) * t)
        phase = 2 * np.pi * np.cumsum(hz) / rate_hz
        syllable = np.sin(np.pi * np.linspace(0, 1, len(t))) ** 2
        syllable *= np.sin(phase) + rng.uniform(0, 0.4) * np.sin(2 * phase)
        song[start : start + len(t)] += syllable[: frames - start]
        start += len(t) + int(rng.uniform(0.02, 0.5) * rate_hz)
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
