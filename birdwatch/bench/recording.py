"""A synthetic recording for benchmarks, as files of the usual formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from birdwatch.audio.types import FloatArray

__all__ = ["RATE_HZ", "song", "write_recordings"]

# The rate of most recorders; at the model's own rate there would be no resampling to measure.
RATE_HZ = 44100
# Written, and decoded, a piece at a time: libsndfile's Vorbis encoder fails on pieces of many minutes.
PIECE_S = 10


def song(seconds: float, rate_hz: int = RATE_HZ) -> FloatArray:
    """Sweeps of random heights over noise, float32 `(n,)`: compresses like a quiet recording with birds in it."""
    rng = np.random.default_rng(1)
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    audio = rng.normal(0.0, 0.005, len(t)).astype(np.float32)
    for start_s in np.arange(0.0, seconds, 0.7):
        low_hz, high_hz = rng.uniform(1500.0, 9000.0, 2)
        inside = slice(round(start_s * rate_hz), round((start_s + 0.35) * rate_hz))
        phase = t[inside] - start_s
        hz = low_hz + (high_hz - low_hz) * phase / 0.7
        audio[inside] += (0.2 * np.sin(2 * np.pi * hz * phase) * np.sin(np.pi * phase / 0.35) ** 2).astype(np.float32)
    return audio


def write_recordings(folder: Path, seconds: float) -> dict[str, Path]:
    """The same recording as `ogg` (Vorbis), `flac` and `wav` (16 bits), mono at RATE_HZ, by format."""
    piece = song(min(seconds, 60.0))
    audio = np.resize(piece, round(seconds * RATE_HZ))
    formats = {"ogg": "VORBIS", "flac": "PCM_16", "wav": "PCM_16"}
    paths = {}
    for kind, subtype in formats.items():
        paths[kind] = folder / f"bench.{kind}"
        with soundfile.SoundFile(paths[kind], "w", RATE_HZ, 1, subtype) as sound:
            for start in range(0, len(audio), PIECE_S * RATE_HZ):
                sound.write(audio[start : start + PIECE_S * RATE_HZ])
    return paths
