"""Recordings as streams of mono blocks. Plain samples are read by libsndfile, everything else by FFmpeg."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import UTC, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from birdwatch.audio.downmix import mono
from birdwatch.audio.limits import MAX_CHANNELS, RATES_HZ
from birdwatch.audio.plain_headers import read_plain_header
from birdwatch.audio.sample_header import SampleHeader
from birdwatch.audio.sndfile import SndFile
from birdwatch.audio.timestamps import IGNORED, audiomoth_start, believable, guano_start, name_start, utc_text
from birdwatch.audio.types import AudioBlock, FloatArray
from birdwatch.errors import DecodeError
from birdwatch.wording import counted

if TYPE_CHECKING:
    from birdwatch.audio.ffmpeg import FfmpegFile

__all__ = ["AUDIO_SUFFIXES", "AudioFile", "is_plain", "start_of"]

# Suffixes of recordings in a folder; a file that is given explicitly may have any name.
AUDIO_SUFFIXES = frozenset(
    {".wav", ".wave", ".bwf", ".w64", ".rf64", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf"}
    | {".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".m4b", ".aac", ".3gp", ".3g2", ".mp4", ".amr"}
    | {".webm", ".mka", ".wma", ".wv", ".ape", ".tta", ".ac3", ".eac3", ".mp2", ".mpa", ".spx", ".awb", ".voc", ".mpc"}
    # Of camera traps and phones: the sound of a video.
    | {".mov", ".mkv", ".avi", ".m4v", ".mts"}
)
# The beginnings of files whose samples libsndfile reads as they are; FFmpeg decodes everything else.
PLAIN = (b"FORM", b".snd", b"dns.", b"caff", b"riff")
# An estimated length may be wrong by this much without a warning.
LENGTH_SLACK_S = 1.0


class AudioFile:
    """One recording. `blocks()` decodes it from the start, a block at a time, in flat memory, to its real end.

    channel: counted from 0; None downmixes all of them (their mean). What is wrong with the file without making it
    unreadable is in `warnings` once it has been decoded. NaN and infinity are passed on. Raises DecodeError, which
    names the file and the reason, where it is missing, not audio, empty, or lacks the channel.
    """

    def __init__(self, path: str | os.PathLike[str], *, channel: int | None = None) -> None:
        self.path = Path(path)
        self.channel = channel
        self.warnings: list[str] = []
        self._header = self._plain_header()
        if self._header is not None:
            # Before anything is allocated for it; libsndfile has another message for rates from 2^31 on.
            self._check_rate(self._header.rate_hz)
        with self._open() as sound:
            self.rate_hz: int = sound.rate_hz
            self.channels: int = sound.channels
            self.comment: str = (self._header.comment if self._header else "") or sound.comment
            self.guano: str = self._header.guano if self._header else ""
            self._claimed: int | None = sound.frames
            self._estimated = sound.estimated
            # Frames as claimed, where decoding may begin at any of them and gives the same samples; else 0.
            self.exact_frames: int = (sound.frames or 0) if sound.exact else 0
            self._counted: int | None = None
        self._check()

    def _check_rate(self, rate_hz: int) -> None:
        low, high = RATES_HZ
        if not low <= rate_hz <= high:
            raise DecodeError(
                f"{self.path} claims a rate of {rate_hz} Hz, expected {low} to {high}; its header is damaged",
                path=self.path,
            )

    def _check(self) -> None:
        self._check_rate(self.rate_hz)
        if self.channels > MAX_CHANNELS:
            raise DecodeError(
                f"{self.path} claims {self.channels} channels, expected at most {MAX_CHANNELS}; its header is damaged",
                path=self.path,
            )
        if self._claimed == 0:
            raise DecodeError(
                f"{self.path} holds no audio: it has a header and 0 frames; record it again or leave it out",
                path=self.path,
            )
        if self.channel is not None and not 0 <= self.channel < self.channels:
            raise DecodeError(
                f"{self.path} has no channel {self.channel}, only {', '.join(map(str, range(self.channels)))}; "
                "choose another, or downmix them",
                path=self.path,
            )

    @property
    def duration_s(self) -> float:
        """Seconds of audio as the file claims, for a progress bar; 0 where it claims none."""
        return (self._claimed or 0) / self.rate_hz

    @property
    def frames(self) -> int:
        """Frames at the file's rate: counted where it was decoded, else as claimed, else decoded for it."""
        if self._counted is None and self._claimed is None:
            for _ in self.blocks():
                pass
        return self._counted or self._claimed or 0

    def start_utc_ns(self, default: tzinfo = UTC) -> int | None:
        """When it began, in ns since 1970: from its GUANO or AudioMoth header, else from its name, else None."""
        return start_of(self, default)

    def blocks(self, block_frames: int | None = None) -> Iterator[AudioBlock]:
        """Decode the recording: blocks at the file's own rate, of at most `block_frames` frames if that is given.

        Raises DecodeError where nothing can be decoded.
        """
        end = missing = 0
        warnings: list[str] = []
        with self._open() as sound:
            for start, data in sound.chunks():
                missing += start - end
                samples = mono(data, self.channel)
                end = start + len(samples)
                step = block_frames or len(samples)
                for at in range(0, len(samples), step):
                    yield AudioBlock(samples[at : at + step], start + at, self.rate_hz)
            damaged, warnings = sound.damaged, list(sound.notes)
        if not end:
            raise DecodeError(
                f"{self.path} breaks off before its first sample; copy it again or leave it out", path=self.path
            )
        self._counted = end
        short = (self._claimed or 0) - end
        if not self._estimated and short > LENGTH_SLACK_S * self.rate_hz:
            warnings.append(
                f"{self.path} breaks off after {end / self.rate_hz:.1f} s of the {self.duration_s:.1f} s that its "
                "header claims; what is there is scored"
            )
        elif damaged:
            warnings.append(f"{self.path} is damaged: {counted(damaged, 'packet')} could not be decoded")
        if missing:
            warnings.append(f"{self.path} lacks {missing / self.rate_hz:.2f} s in the middle")
        self.warnings += [warning for warning in warnings if warning not in self.warnings]

    def stretch(self, first: int, last: int) -> Iterator[AudioBlock]:
        """The blocks from frame `first` to `last`, which `blocks` would give there too; `exact_frames` is not 0.

        Raises DecodeError where they are not all there, or the recording is longer than it claims: `blocks` knows more.
        """
        end = first
        with self._open() as sound:
            for start, data in sound.chunks(first):
                stop = start + len(data)
                if start > end:
                    break
                if last == self.exact_frames < stop:
                    end = stop
                    break
                if stop > end:
                    samples = mono(data[end - start : last - start], self.channel)
                    yield AudioBlock(samples, end, self.rate_hz)
                    end += len(samples)
                if end == last < self.exact_frames:
                    break
            faulty = sound.damaged or sound.uneven or sound.notes
        if end != last or faulty:
            raise DecodeError(
                f"{self.path} does not hold from {first / self.rate_hz:.1f} s to {last / self.rate_hz:.1f} s what its "
                "header claims",
                path=self.path,
            )

    def read(self, start_s: float, end_s: float) -> FloatArray:
        """The mono samples `(n,)` from one second to another, as far as they are there. Raises DecodeError."""
        first, last = max(0, round(start_s * self.rate_hz)), max(0, round(end_s * self.rate_hz))
        parts: list[FloatArray] = []
        with self._open() as sound:
            for start, data in sound.chunks(first):
                if start >= last:
                    break
                if start + len(data) > first:
                    parts.append(mono(data[max(0, first - start) : last - start], self.channel))
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def _plain_header(self) -> SampleHeader | None:
        """The header of plain samples; a warning where it claims a length that can be set right."""
        try:
            kind = self.path.stat()
            if stat.S_ISDIR(kind.st_mode):
                raise DecodeError(f"{self.path} is a folder, expected a recording", path=self.path)
            if not stat.S_ISREG(kind.st_mode):
                raise DecodeError(
                    f"{self.path} is a pipe, a socket or a device, expected a file; save the recording first, or use "
                    "`birdwatch listen --source -`",
                    path=self.path,
                )
            if kind.st_size == 0:
                raise DecodeError(f"{self.path} is empty (0 bytes); record it again or leave it out", path=self.path)
            header = read_plain_header(self.path)
        except FileNotFoundError:
            raise DecodeError(f"{self.path}: no such file", path=self.path) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise DecodeError(f"{self.path} cannot be read: {reason}", path=self.path) from error
        if header is not None and header.wrong_length and (header.subtype is not None or header.claims_less):
            self.warnings.append(f"{self.path} was not closed by its recorder: {header.claim}")
        return header

    def _open(self) -> SndFile | FfmpegFile:
        if _is_plain(self.path, self._header):
            try:
                return SndFile(self.path, self._header)
            except DecodeError:
                # An aiff or caf file may hold compressed audio, too.
                if self._header is not None:
                    raise
        from birdwatch.audio.ffmpeg import FfmpegFile

        return FfmpegFile(self.path, self._header)


def is_plain(path: Path) -> bool:
    """Whether a file holds plain samples, or cannot even be looked at: no codec is needed to read it or to fail."""
    try:
        return _is_plain(path, read_plain_header(path)) if stat.S_ISREG(path.stat().st_mode) else True
    except (OSError, ValueError):
        return True


def _is_plain(path: Path, header: SampleHeader | None) -> bool:
    if header is not None and header.subtype is not None:
        return True
    with path.open("rb") as stream:
        return stream.read(4).startswith(PLAIN)


class Described(Protocol):
    """What the start of a recording is found from: its name and what its recorder wrote."""

    path: Path
    comment: str
    guano: str
    warnings: list[str]


def start_of(audio: Described, default: tzinfo) -> int | None:
    """ns since 1970, or None; an implausible start adds a warning."""
    # FLAC and Opus have no place of their own for GUANO: birdwatch's recordings have it in the comment.
    guano = audio.guano or (audio.comment if audio.comment.startswith("GUANO|") else "")
    for found in (
        guano_start(guano, default),
        audiomoth_start(audio.comment),
        name_start(audio.path.stem, default),
    ):
        if found is not None and believable(found):
            return found
        if found is not None:
            warning = f"{audio.path} has a start in the year {utc_text(found)[:4]}, {IGNORED}"
            if warning not in audio.warnings:
                audio.warnings.append(warning)
    return None
