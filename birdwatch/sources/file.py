"""Recordings as streams of mono blocks: the one place that reads audio files (libsndfile)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from birdwatch.audio import AudioBlock
from birdwatch.errors import DecodeError

__all__ = ["AUDIO_SUFFIXES", "AudioFile"]

# What a search through a folder takes for a recording; a file that is named outright may have any name.
AUDIO_SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".w64", ".rf64", ".caf", ".au"}
)

# About two seconds at 32 kHz: small beside a window's memory, large beside a call's cost.
BLOCK_FRAMES = 1 << 16


class AudioFile:
    """One recording. `blocks()` decodes it from the start, a block at a time, channels mixed to mono (their mean).

    Raises DecodeError, which names the file and the reason, where it is missing, no audio, empty, broken off, or holds
    NaN or infinity.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        with self._open() as sound:
            self.rate_hz: int = sound.samplerate
            self.channels: int = sound.channels
            self.frames: int = sound.frames
        if self.frames == 0:
            raise DecodeError(
                f"{self.path} holds no audio: it has a header and 0 frames; record it again or leave it out"
            )

    def blocks(self, block_frames: int = BLOCK_FRAMES) -> Iterator[AudioBlock]:
        """Decode the recording: blocks of at most `block_frames` frames at the file's own rate."""
        frame = 0
        with self._open() as sound:
            while True:
                try:
                    data = sound.read(block_frames, dtype="float32", always_2d=True)  # (n, channels)
                except (soundfile.LibsndfileError, RuntimeError) as error:
                    raise DecodeError(
                        f"{self.path} is damaged after {frame / self.rate_hz:.1f} s ({error}); copy it again"
                    ) from error
                if not len(data):
                    break
                samples = data[:, 0] if data.shape[1] == 1 else data.mean(axis=1, dtype=np.float32)
                if not np.isfinite(samples).all():
                    bad = frame + int(np.argmin(np.isfinite(samples)))
                    raise DecodeError(
                        f"{self.path} holds NaN or infinity at {bad / self.rate_hz:.3f} s; "
                        "write it again as integers or clean floats"
                    )
                yield AudioBlock(np.ascontiguousarray(samples), frame, self.rate_hz)
                frame += len(samples)
        if frame < self.frames:
            raise DecodeError(
                f"{self.path} breaks off after {frame / self.rate_hz:.1f} s of the "
                f"{self.frames / self.rate_hz:.1f} s that its header promises; copy it again"
            )

    def _open(self) -> soundfile.SoundFile:
        if not self.path.exists():
            raise DecodeError(f"{self.path}: no such file")
        if self.path.is_dir():
            raise DecodeError(f"{self.path} is a folder, expected a recording")
        if self.path.stat().st_size == 0:
            raise DecodeError(f"{self.path} is empty (0 bytes); record it again or leave it out")
        try:
            return soundfile.SoundFile(self.path)
        except (soundfile.LibsndfileError, OSError, TypeError) as error:
            reason = getattr(error, "error_string", None) or str(error)
            raise DecodeError(
                f"{self.path} is not audio that can be read ({reason.rstrip('.')}); "
                "expected wav, flac, ogg, mp3 or aiff"
            ) from error
