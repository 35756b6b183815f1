"""Uncompressed audio through libsndfile: wav, aiff, au, caf, w64. A wav file is read where its samples really are."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import soundfile

from birdwatch.audio.types import FloatArray
from birdwatch.audio.wav_header import WavHeader
from birdwatch.errors import DecodeError

__all__ = ["SndFile"]

# Encodings of which each frame stands for itself; libsndfile reads block codecs too, in aiff and caf files.
EXACT = frozenset({"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAW", "ULAW"})
# Two seconds of mono at 32 kHz: small beside a window's memory, large beside the cost of a call.
READ_SAMPLES = 1 << 16


class SndFile:
    """A file of plain samples: open it, read its properties, `chunks` reads it from a frame on.

    header: of a wav file, which says where the samples are where the file's own header is wrong. `exact`: reading may
    begin at any frame. Raises DecodeError where libsndfile cannot read it.
    """

    def __init__(self, path: Path, header: WavHeader | None) -> None:
        self.path = path
        self.notes: list[str] = []
        self.damaged = 0
        self._region: _Region | None = None
        try:
            if header is None or not header.wrong_length or header.subtype is None:
                # By descriptor: soundfile refuses names that are not UTF-8.
                self._sound = soundfile.SoundFile(os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)))
            else:
                self._region = _Region(path, header.data_start, header.frames * header.frame_bytes)
                self._sound = soundfile.SoundFile(
                    self._region,
                    samplerate=header.rate_hz,
                    channels=header.channels,
                    format="RAW",
                    subtype=header.subtype,
                    endian="BIG" if header.big_endian else "LITTLE",
                )
        except (soundfile.LibsndfileError, OSError, TypeError, ValueError, OverflowError) as error:
            if self._region is not None:
                self._region.close()
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
        # Whether samples were missing without a gap in the numbers: never here.
        self.uneven = False
        self.comment: str = self._sound.comment

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


class _Region(io.FileIO):
    """A part of a file as a file of its own: the samples of a wav file whose header claims a wrong length."""

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
