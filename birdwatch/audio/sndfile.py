"""Uncompressed audio through libsndfile: wav, aiff, au, caf, w64. A wav file is read where its samples really are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import soundfile

from birdwatch.audio.joined import left_over
from birdwatch.audio.region import Region
from birdwatch.audio.sample_header import SampleHeader
from birdwatch.audio.types import FloatArray
from birdwatch.errors import DecodeError

__all__ = ["SndFile"]

# Encodings in which frames are independent; libsndfile reads block codecs too, in aiff and caf files.
EXACT = frozenset({"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAW", "ULAW"})
# Two seconds of mono at 32 kHz: small beside a window's memory, large beside the cost of a call.
READ_SAMPLES = 1 << 16


class SndFile:
    """A file of plain samples: open it, read its properties, `chunks` reads it from a frame on.

    header: of a wav file, which says where the samples are where the file's own header is wrong. `exact`: reading may
    begin at any frame. Raises DecodeError where libsndfile cannot read it.
    """

    def __init__(self, path: Path, header: SampleHeader | None) -> None:
        self.path = path
        self.notes: list[str] = []
        self.damaged = 0
        self._region: Region | None = None
        try:
            self._sound = self._opened(header)
        except (soundfile.LibsndfileError, OSError, TypeError, ValueError, OverflowError) as error:
            reason = getattr(error, "error_string", None) or str(error)
            raise DecodeError(
                f"{path} is not audio that can be read ({reason.rstrip('.')}); expected wav, flac, ogg or the like",
                path=path,
            ) from error
        self.rate_hz: int = self._sound.samplerate
        self.channels: int = self._sound.channels
        self.frames: int | None = self._sound.frames
        self.codec: str = self._sound.subtype
        self.exact = self.codec in EXACT
        self.estimated = False  # every such header has a length
        # Whether samples were missing without a gap in the numbers: never here.
        self.uneven = False
        self.comment: str = self._sound.comment

    def _opened(self, header: SampleHeader | None) -> soundfile.SoundFile:
        if header is None or header.subtype is None:
            return self._whole()
        if not header.wrong_length:
            try:
                return self._whole()
            except soundfile.LibsndfileError:
                # libsndfile fails on the bytes after the samples.
                size = self.path.stat().st_size
                self.notes.append(left_over(self.path, size - header.data_start - header.data_bytes))
        region = Region(self.path, header.data_start, header.frames * header.frame_bytes)
        try:
            sound = soundfile.SoundFile(
                region,
                samplerate=header.rate_hz,
                channels=header.channels,
                format="RAW",
                subtype=header.subtype,
                endian="BIG" if header.big_endian else "LITTLE",
            )
        except BaseException:
            region.close()
            raise
        self._region = region
        return sound

    def _whole(self) -> soundfile.SoundFile:
        # By descriptor: soundfile refuses names that are not UTF-8.
        return soundfile.SoundFile(os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0)))

    def chunks(self, from_frame: int = 0) -> Iterator[tuple[int, FloatArray]]:
        """Start frame and samples float32 `(n, channels)`, full scale +-1, in order. Raises DecodeError."""
        frame = from_frame
        try:
            self._sound.seek(min(from_frame, self._sound.frames))
            while len(data := self._sound.read(max(1, READ_SAMPLES // self.channels), dtype="float32", always_2d=True)):
                yield frame, data
                frame += len(data)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            self.damaged += 1
            self.notes.append(f"{self.path} cannot be read further ({error}); what is before is scored")

    def close(self) -> None:
        """Close the file."""
        self._sound.close()
        if self._region is not None:
            self._region.close()

    def __enter__(self) -> SndFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
