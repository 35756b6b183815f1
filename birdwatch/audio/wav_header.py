"""The chunks of a RIFF, RIFX or RF64 file: the position of its samples, and the recorder's metadata.

libsndfile decodes; this module reads what libsndfile does not report: wrong lengths in headers (0 after a recorder's
battery died, the largest number from a program that writes to a pipe), and the metadata of field recorders. Sources:
RIFF (Microsoft 1991), EBU Tech 3306 (RF64), https://guano-md.org (GUANO 1.0).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from birdwatch.audio.sample_header import SampleHeader

__all__ = ["UNKNOWN_SIZE", "Chunks", "read_wav_header"]

# The value of a 32-bit size that stands for "see the ds64 chunk", or for "unknown" where a stream was written.
UNKNOWN_SIZE = 0xFFFFFFFF
# Metadata is text; a larger chunk of it has a wrong size.
MAX_TEXT_BYTES = 1 << 20
# (format tag, bytes a sample) -> libsndfile's name of the encoding.
SUBTYPES = {
    (1, 1): "PCM_U8",
    (1, 2): "PCM_16",
    (1, 3): "PCM_24",
    (1, 4): "PCM_32",
    (3, 4): "FLOAT",
    (3, 8): "DOUBLE",
    (6, 1): "ALAW",
    (7, 1): "ULAW",
}
EXTENSIBLE = 0xFFFE
# Zeros behind the samples for at least this long are padding, not chunks.
PADDING_BYTES = 4096
# Recorders write a dozen chunks; millions of empty ones are random bytes after the samples.
MAX_CHUNKS = 10_000
# How another file begins.
FILES = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM")
# Chunks that recorders write behind the samples.
LATER_CHUNKS = (
    b"LIST",
    b"guan",
    b"bext",
    b"id3 ",
    b"ID3 ",
    b"iXML",
    b"fact",
    b"wamd",
    b"junk",
    b"JUNK",
    b"cue ",
    b"COMT",
    b"MARK",
    b"ANNO",
    b"NAME",
)


def read_wav_header(path: Path) -> SampleHeader | None:
    """The header of a wav file, or None where the file is no wav or has no format and samples. Raises OSError."""
    with path.open("rb") as stream:
        magic = stream.read(12)
        if magic[:4] not in FILES or magic[8:] != b"WAVE":
            return None
        return Chunks(stream, path.stat().st_size, big_endian=magic[:4] == b"RIFX").read()


class Chunks:
    """One pass over a file's chunks."""

    # The chunk of the samples, and the bytes in it before them.
    FORMAT, DATA = b"fmt ", b"data"
    DATA_HEAD = 0

    def __init__(self, stream: IO[bytes], file_bytes: int, *, big_endian: bool) -> None:
        self.stream = stream
        self.file_bytes = file_bytes
        self.order = ">" if big_endian else "<"
        self.size64: int | None = None
        self._own_format = b""

    def read(self) -> SampleHeader | None:
        """The header, or None where format or samples are missing."""
        form: tuple[int, int, int, int] | None = None
        data: tuple[int, int, int | None] | None = None
        comment = guano = ""
        for name, start, size in self._walk():
            if name == b"fmt " and size >= 16:
                form = self._format(size)
            elif name == b"ds64" and size >= 24:
                self.size64 = int.from_bytes(self.stream.read(16)[8:], "little")
            elif name == b"data":
                data = self._data(start, size)
            elif name == b"LIST" and size <= MAX_TEXT_BYTES:
                comment = self._comment(self.stream.read(size)) or comment
            elif name == b"guan" and size <= MAX_TEXT_BYTES:
                guano = self.stream.read(size).decode("utf-8", "replace").rstrip("\0 \n")
        if form is None or data is None:
            return None
        tag, channels, rate_hz, frame_bytes = form
        if not (channels and rate_hz and frame_bytes):
            return None
        subtype = SUBTYPES.get((tag, frame_bytes // channels))
        start, there, claimed = data
        return SampleHeader(
            rate_hz, channels, subtype, self.order == ">", frame_bytes, start, there, claimed, comment, guano
        )

    def _walk(self) -> Iterator[tuple[bytes, int, int]]:
        """Each chunk's name, start and size in bytes, its stream at the start. Ends where sizes stop making sense."""
        position = 12
        for _ in range(MAX_CHUNKS):
            if position + 8 > self.file_bytes:
                return
            self.stream.seek(position)
            name, size = struct.unpack(f"{self.order}4sI", self.stream.read(8))
            yield name, position + 8, size
            if name == self.DATA:
                _, size, _ = self._data(position + 8, size)
                size += self.DATA_HEAD
            elif not name.strip(b"\0"):
                # Padding: its zeros would be read as millions of empty chunks.
                return
            position += 8 + size + (size & 1)

    def _data(self, start: int, size: int) -> tuple[int, int, int | None]:
        """Start of the samples, bytes that are there, bytes that the header claims (None: it does not know)."""
        start += self.DATA_HEAD
        rest = max(0, self.file_bytes - start)
        claimed: int | None = max(0, size - self.DATA_HEAD)
        if size == UNKNOWN_SIZE:
            claimed = self.size64
        if claimed is None or claimed > rest:
            return start, rest, claimed
        if claimed == 0:
            self.stream.seek(start)
            # In an empty file another chunk follows, or its end.
            follows = self.stream.read(4)
            empty = not follows or follows in LATER_CHUNKS
            return start, 0 if empty else rest, 0
        if rest - claimed >= 8 and not self._chunk_follows(start + claimed + (claimed & 1)):
            # A size that was written before the recording was continued.
            return start, rest, claimed
        if self.size64 is None:
            # 32 bits cannot say more than 4 GiB: a plain RIFF file that is larger has counted past the end of them.
            there = claimed + ((rest - claimed) >> 32 << 32)
            return start, there, claimed
        return start, claimed, claimed

    def _chunk_follows(self, position: int) -> bool:
        """Whether another chunk begins there, or nothing but padding; samples do not look like either."""
        self.stream.seek(position)
        after = self.stream.read(PADDING_BYTES)
        if len(after) < 8 or not any(after):
            return True
        if after[:4] in FILES:
            # Files were joined: what follows is read on where it is of the same format.
            again = after.find(self.FORMAT)
            return again < 0 or self._same_format(after[again + 8 : again + 26]) != self._own_format
        (size,) = struct.unpack(f"{self.order}I", after[4:8])
        printable = all(32 <= byte < 127 for byte in after[:4])
        return printable and (position + 8 + size <= self.file_bytes + 1 or after[:4] in LATER_CHUNKS)

    def _same_format(self, data: bytes) -> bytes:
        """The part of a chunk of the format that must be the same for samples to be of one recording."""
        return data[:16]

    def _format(self, size: int) -> tuple[int, int, int, int]:
        data = self.stream.read(min(size, 40))
        if len(data) < 16:
            return 0, 0, 0, 0
        self._own_format = self._same_format(data)
        tag, channels, rate_hz, _, frame_bytes, _ = struct.unpack(f"{self.order}HHIIHH", data[:16])
        if tag == EXTENSIBLE and len(data) >= 26:
            (tag,) = struct.unpack(f"{self.order}H", data[24:26])
        return tag, channels, rate_hz, frame_bytes

    def _comment(self, data: bytes) -> str:
        """The ICMT entry of an INFO list."""
        position = 4
        while data[:4] == b"INFO" and position + 8 <= len(data):
            name, size = struct.unpack(f"{self.order}4sI", data[position : position + 8])
            if name == b"ICMT":
                return data[position + 8 : position + 8 + size].split(b"\0")[0].decode("utf-8", "replace")
            position += 8 + size + (size & 1)
        return ""
