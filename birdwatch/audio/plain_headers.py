"""Finds the samples of wav, aiff, au and caf files, whatever length their headers claim.

Sources: Apple's Audio Interchange File Format 1.3 (1989), AIFF-C (1991), Core Audio Format 1.0; Sun's audio(4).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO

from birdwatch.audio.sample_header import SampleHeader
from birdwatch.audio.wav_header import UNKNOWN_SIZE, Chunks, read_wav_header

__all__ = ["read_plain_header"]

# Encoding of an au file -> libsndfile's name of it, bytes a sample.
AU_SUBTYPES = {
    1: ("ULAW", 1),
    2: ("PCM_S8", 1),
    3: ("PCM_16", 2),
    4: ("PCM_24", 3),
    5: ("PCM_32", 4),
    6: ("FLOAT", 4),
    7: ("DOUBLE", 8),
    27: ("ALAW", 1),
}
INTEGERS = {1: "PCM_S8", 2: "PCM_16", 3: "PCM_24", 4: "PCM_32"}
# AIFF-C's type of samples that are not compressed -> whether they are floats, whether their bytes are little-endian.
AIFC_TYPES = {b"NONE": (False, False), b"sowt": (False, True), b"fl32": (True, False), b"FL32": (True, False)}
# In caf the size of samples that are still being written.
CAF_UNKNOWN = -1
MAX_CAF_CHUNKS = 1000


def read_plain_header(path: Path) -> SampleHeader | None:
    """The header of a file of plain samples, or of any wav file; None of others. Raises OSError."""
    with path.open("rb") as stream:
        magic = stream.read(12)
        file_bytes = path.stat().st_size
        if magic[:4] == b"FORM" and magic[8:] in (b"AIFF", b"AIFC"):
            return _Aiff(stream, file_bytes, big_endian=True).read()
        if magic[:4] in (b".snd", b"dns."):
            return _au(stream, file_bytes, ">" if magic[:4] == b".snd" else "<")
        if magic[:4] == b"caff":
            return _caf(stream, file_bytes)
    return read_wav_header(path)


class _Aiff(Chunks):
    """One pass over the chunks of an aiff file."""

    FORMAT, DATA = b"COMM", b"SSND"
    # The offset of the first sample and the size of a block come first.
    DATA_HEAD = 8

    def read(self) -> SampleHeader | None:
        form: tuple[int, int, str, bool, int] | None = None
        data: tuple[int, int, int | None] | None = None
        for name, start, size in self._walk():
            if name == self.FORMAT and size >= 18:
                form = self._common(self.stream.read(min(size, 22)))
            elif name == self.DATA:
                data = self._data(start, size)
        if form is None or data is None:
            return None
        rate_hz, channels, subtype, little_endian, frame_bytes = form
        start, there, claimed = data
        return SampleHeader(rate_hz, channels, subtype, not little_endian, frame_bytes, start, there, claimed)

    def _same_format(self, data: bytes) -> bytes:
        return data[:2] + data[6:18]

    def _common(self, data: bytes) -> tuple[int, int, str, bool, int] | None:
        """Rate in Hz, channels, libsndfile's subtype, whether it is little-endian, bytes a frame; None of others."""
        if len(data) < 18:
            return None
        self._own_format = self._same_format(data)
        channels, _, bits = struct.unpack(">HIH", data[:8])
        exponent, mantissa = struct.unpack(">HQ", data[8:18])
        is_float, little_endian = False, False
        if len(data) >= 22:
            if data[18:22] not in AIFC_TYPES:
                return None
            is_float, little_endian = AIFC_TYPES[data[18:22]]
        width = (bits + 7) // 8
        subtype = "FLOAT" if is_float and width == 4 else INTEGERS.get(width)
        # An 80-bit float: 2^(exponent - 16383) of a mantissa that begins with its first bit.
        shift = 16383 + 63 - exponent
        rate_hz = mantissa >> shift if 0 <= shift < 64 else 0
        if subtype is None or not channels or not rate_hz:
            return None
        return rate_hz, channels, subtype, little_endian, width * channels


def _au(stream: IO[bytes], file_bytes: int, order: str) -> SampleHeader | None:
    stream.seek(4)
    data = stream.read(20)
    if len(data) < 20:
        return None
    start, claimed, encoding, rate_hz, channels = struct.unpack(f"{order}5I", data)
    if encoding not in AU_SUBTYPES or not rate_hz or not channels or not 24 <= start <= file_bytes:
        return None
    subtype, width = AU_SUBTYPES[encoding]
    # Nothing may follow the samples.
    said = None if claimed == UNKNOWN_SIZE else claimed
    return SampleHeader(rate_hz, channels, subtype, order == ">", width * channels, start, file_bytes - start, said)


def _caf(stream: IO[bytes], file_bytes: int) -> SampleHeader | None:
    position = 8
    form: tuple[int, int, str, bool, int] | None = None
    for _ in range(MAX_CAF_CHUNKS):
        stream.seek(position)
        head = stream.read(12)
        if len(head) < 12:
            return None
        name, size = struct.unpack(">4sq", head)
        if name == b"desc" and size >= 32:
            form = _caf_description(stream.read(32))
        if name == b"data":
            break
        if size < 0:
            return None
        position += 12 + size
    else:
        return None
    if form is None:
        return None
    rate_hz, channels, subtype, big_endian, frame_bytes = form
    start = position + 16  # a count of edits comes first
    rest, claimed = file_bytes - start, size - 4
    there = claimed if 0 < claimed <= rest and _caf_chunk_follows(stream, start + claimed, file_bytes) else rest
    said = None if size == CAF_UNKNOWN else max(0, claimed)
    if rest < 0:
        return None
    return SampleHeader(rate_hz, channels, subtype, big_endian, frame_bytes, start, there, said)


def _caf_description(data: bytes) -> tuple[int, int, str, bool, int] | None:
    if len(data) < 32:
        return None
    rate, kind, flags, packet_bytes, packet_frames, channels, bits = struct.unpack(">d4s5I", data)
    width = (bits + 7) // 8
    subtype = {4: "FLOAT", 8: "DOUBLE"}.get(width) if flags & 1 else INTEGERS.get(width)
    plain = kind == b"lpcm" and packet_frames == 1 and packet_bytes == width * channels
    if not plain or subtype is None or not 1 <= rate < 2**31 or not channels:
        return None
    return round(rate), channels, subtype, not flags & 2, packet_bytes


def _caf_chunk_follows(stream: IO[bytes], position: int, file_bytes: int) -> bool:
    """Whether another chunk, or nothing but padding, is there."""
    stream.seek(position)
    head = stream.read(12)
    if len(head) < 12 or not any(head):
        return True
    name, size = struct.unpack(">4sq", head)
    return all(32 <= byte < 127 for byte in name) and 0 <= size <= file_bytes - position - 12
