"""Recordings as streams of mono blocks: the one place that reads and writes audio files (libsndfile)."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, tzinfo
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from birdwatch.audio.timestamps import audiomoth_start, guano_start, name_start
from birdwatch.audio.types import AudioBlock, FloatArray
from birdwatch.audio.wav_header import WavHeader, read_wav_header
from birdwatch.errors import DecodeError

__all__ = ["AUDIO_SUFFIXES", "AudioFile", "encode"]

# What a search through a folder takes for a recording; a file that is named outright may have any name.
AUDIO_SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".w64", ".rf64", ".caf", ".au"}
)

# About two seconds at 32 kHz: small beside a window's memory, large beside a call's cost.
BLOCK_FRAMES = 1 << 16
# What is read at once is lost where a compressed file breaks off: a third of a second. Smaller ones cost a tenth more.
PACKED_BLOCK_FRAMES = 1 << 14
# The length of an mp3 without an index is libsndfile's estimate; one that ends this much early is no surprise.
LENGTH_SLACK_S = 1.0


class AudioFile:
    """One recording. `blocks()` decodes it from the start, a block at a time, in flat memory.

    channel: which one to hear, counted from 0; None mixes all of them (their mean). A recording that is cut off or
    whose header lies gives what is there, and `warnings` says so. Raises DecodeError, which names the file and the
    reason, where it is missing, not audio, empty, or lacks the channel. NaN and infinity are passed on.
    """

    def __init__(self, path: str | os.PathLike[str], *, channel: int | None = None) -> None:
        self.path = Path(path)
        self.channel = channel
        self.warnings: list[str] = []
        self._header = self._wav_header()
        with self._open() as sound:
            self.rate_hz: int = sound.samplerate
            self.channels: int = sound.channels
            self.frames: int = sound.frames
            self.comment: str = (self._header.comment if self._header else "") or sound.comment
            self._estimated = sound.format == "MP3"
            # Where a packet is damaged the whole read is lost: small reads lose little.
            self._block_frames = PACKED_BLOCK_FRAMES if sound.format in ("FLAC", "OGG", "MP3") else BLOCK_FRAMES
        if self.frames == 0:
            raise DecodeError(
                f"{self.path} holds no audio: it has a header and 0 frames; record it again or leave it out"
            )
        if channel is not None and not 0 <= channel < self.channels:
            raise DecodeError(
                f"{self.path} has no channel {channel}, only {', '.join(map(str, range(self.channels)))}; "
                "choose another, or mix them"
            )

    @property
    def duration_s(self) -> float:
        """Seconds of audio, as far as can be told before decoding."""
        return self.frames / self.rate_hz

    def start_utc_ns(self, default: tzinfo = UTC) -> int | None:
        """When it began, in ns since 1970: from its GUANO or AudioMoth header, else from its name, else None."""
        guano = self._header.guano if self._header else ""
        for found in (
            guano_start(guano, default),
            audiomoth_start(self.comment),
            name_start(self.path.stem, default),
        ):
            if found is not None:
                return found
        return None

    def blocks(self, block_frames: int | None = None) -> Iterator[AudioBlock]:
        """Decode the recording: blocks of at most `block_frames` frames at the file's own rate."""
        frame = 0
        block_frames = block_frames or self._block_frames
        with self._open() as sound:
            while True:
                try:
                    data = sound.read(block_frames, dtype="float32", always_2d=True)  # (n, channels)
                except (soundfile.LibsndfileError, RuntimeError) as error:
                    if not frame:
                        raise DecodeError(f"{self.path} is damaged at its start ({error}); copy it again") from error
                    self.warnings.append(
                        f"{self.path} is damaged after {frame / self.rate_hz:.1f} s ({error}); what is before is scored"
                    )
                    return
                if not len(data):
                    break
                samples = self._mono(data)
                yield AudioBlock(samples, frame, self.rate_hz)
                frame += len(samples)
        short = self.frames - frame
        if not frame:
            raise DecodeError(f"{self.path} breaks off before its first sample; copy it again or leave it out")
        if short > (LENGTH_SLACK_S * self.rate_hz if self._estimated else 0):
            self.warnings.append(
                f"{self.path} breaks off after {frame / self.rate_hz:.1f} s of the {self.duration_s:.1f} s that its "
                "header promises; what is there is scored"
            )

    def read(self, start_s: float, end_s: float) -> FloatArray:
        """The mono samples `(n,)` from one second to another, as far as they are there. Raises DecodeError."""
        with self._open() as sound:
            try:
                sound.seek(min(max(0, round(start_s * self.rate_hz)), self.frames))
                data = sound.read(max(0, round((end_s - start_s) * self.rate_hz)), dtype="float32", always_2d=True)
            except (soundfile.LibsndfileError, RuntimeError) as error:
                raise DecodeError(f"{self.path} cannot be read at {start_s:.1f} s ({error})") from error
        return self._mono(data)

    def _mono(self, data: npt.NDArray[np.float32]) -> FloatArray:
        if self.channel is not None:
            samples = data[:, self.channel]
        else:
            samples = data[:, 0] if data.shape[1] == 1 else data.mean(axis=1, dtype=np.float32)
        return np.ascontiguousarray(samples)

    def _wav_header(self) -> WavHeader | None:
        """The wav header; a warning where it lies about a length that can be set right."""
        try:
            if self.path.is_dir():
                raise DecodeError(f"{self.path} is a folder, expected a recording")
            if not self.path.exists():
                raise DecodeError(f"{self.path}: no such file")
            if self.path.stat().st_size == 0:
                raise DecodeError(f"{self.path} is empty (0 bytes); record it again or leave it out")
            header = read_wav_header(self.path)
        except OSError as error:
            raise DecodeError(f"{self.path} cannot be read: {error.strerror or error}") from error
        if header is not None and header.lies and header.subtype is not None:
            said = "an unknown length"
            if header.promised_bytes is not None:
                said = f"{header.promised_bytes / header.frame_bytes / header.rate_hz:.1f} s"
            self.warnings.append(
                f"{self.path} was not closed by its recorder: its header says {said}, "
                f"{header.frames / header.rate_hz:.1f} s are there and are scored"
            )
        return header

    @contextmanager
    def _open(self) -> Iterator[soundfile.SoundFile]:
        header = self._header
        with ExitStack() as closing:
            try:
                if header is None or not header.lies or header.subtype is None:
                    sound = soundfile.SoundFile(self.path)
                else:
                    sound = soundfile.SoundFile(
                        closing.enter_context(
                            _Region(self.path, header.data_start, header.frames * header.frame_bytes)
                        ),
                        samplerate=header.rate_hz,
                        channels=header.channels,
                        format="RAW",
                        subtype=header.subtype,
                        endian="BIG" if header.big_endian else "LITTLE",
                    )
            except (soundfile.LibsndfileError, OSError, TypeError) as error:
                reason = getattr(error, "error_string", None) or str(error)
                raise DecodeError(
                    f"{self.path} is not audio that can be read ({reason.rstrip('.')}); "
                    "expected wav, flac, ogg, mp3 or aiff"
                ) from error
            yield closing.enter_context(sound)


def encode(samples: FloatArray, rate_hz: int, *, compression: float) -> tuple[str, bytes]:
    """Mono samples `(n,)` as a small file in memory: its media type and its bytes. compression: 0 (best) to 1 (least).

    MP3, which every browser plays (Safari plays no Ogg before 18.4); Ogg Vorbis where libsndfile lacks MP3.
    """
    if "MP3" in soundfile.available_formats():
        media_type, form, subtype = "audio/mpeg", "MP3", "MPEG_LAYER_III"
    else:
        media_type, form, subtype = "audio/ogg", "OGG", "VORBIS"
    out = io.BytesIO()
    soundfile.write(out, samples, rate_hz, format=form, subtype=subtype, compression_level=compression)
    return media_type, out.getvalue()


class _Region(io.FileIO):
    """A part of a file as a file of its own: the samples of a wav file whose header lies about them."""

    def __init__(self, path: Path, start: int, size: int) -> None:
        super().__init__(path, "rb")
        self._start, self._size = start, size
        super().seek(start)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self._size}[whence]
        return super().seek(self._start + max(0, origin + offset)) - self._start

    def tell(self) -> int:
        return super().tell() - self._start

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        room = max(0, self._size - self.tell())
        return super().readinto(memoryview(buffer)[:room]) or 0

    def read(self, size: int | None = -1) -> bytes:
        room = max(0, self._size - self.tell())
        return super().read(room if size is None or size < 0 else min(size, room)) or b""
