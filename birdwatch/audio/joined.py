"""Recordings that were concatenated into one file: finds where the next one begins.

FFmpeg itself continues where an mp3 or a chained Ogg goes on in the same format. Where the format changes, or the
container ends, the rest is opened as a file of its own; of a flac always, since FFmpeg decodes it by the first header.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["content_end", "flac_begins", "is_joined", "left_over", "next_part", "unread_bytes"]

# FFmpeg's name of a container -> how its files begin, and at which byte. An Ogg stream begins with a page of type 2.
BEGINNINGS = {
    "flac": (b"fLaC", 0),
    "ogg": (b"OggS\0\2", 0),
    "wv": (b"wvpk", 0),
    "tta": (b"TTA1", 0),
    "asf": (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), 0),
    "mov,mp4,m4a,3gp,3g2,mj2": (b"ftyp", 4),
    "caf": (b"caff\0\1", 0),
    "ape": (b"MAC ", 0),
    "amr": (b"#!AMR", 0),
}
# A flac file begins with a STREAMINFO of 34 bytes, which is or is not its last block of metadata.
FLAC_HEADERS = (b"fLaC\0\0\0\x22", b"fLaC\x80\0\0\x22")
# How much is read at once.
CHUNK_BYTES = 1 << 20
# After the audio there may be zeros, an index, tags and pictures; more bytes than both of these are something else.
KEPT_ZEROS = 4096
TRAILER_BYTES, TRAILER_SHARE = 1 << 16, 0.1


def content_end(path: Path) -> int:
    """The byte behind which a file holds nothing but zeros, as on a card whose space was reserved; its size if few."""
    size = end = path.stat().st_size
    with path.open("rb") as stream:
        while end:
            start = max(0, end - CHUNK_BYTES)
            stream.seek(start)
            data = stream.read(end - start).rstrip(b"\0")
            if data:
                end = start + len(data)
                break
            end = start
    # The audio itself may end with a few.
    return min(size, end + KEPT_ZEROS) if end and size - end > TRAILER_BYTES else size if end else 0


def next_part(path: Path, container: str, behind: int, end: int) -> int | None:
    """The byte before `end` at which another recording of the container begins, from byte `behind` on, or None."""
    magic, offset = BEGINNINGS.get(container, (b"", 0))
    found = _find(path, magic, behind) if magic else -1
    return found - offset if behind > 0 and behind <= found - offset < end else None


def is_joined(path: Path, container: str) -> bool:
    """Whether time stamps begin again somewhere in the file, so that they cannot be used for seeking."""
    magic = {"flac": b"fLaC", "ogg": b"OggS\0\2"}.get(container)
    return magic is not None and _find(path, magic, len(magic)) >= 0


def flac_begins(packet: bytes) -> int:
    """The byte of a packet at which another flac file begins, -1 for none: FFmpeg takes its header for audio."""
    found = [at for header in FLAC_HEADERS if (at := packet.find(header)) >= 0]
    return min(found, default=-1)


def unread_bytes(size: int, behind: int) -> int:
    """How many of `size` bytes from `behind` on are too many for a trailer; 0 where they are not."""
    return size - behind if size - behind > max(TRAILER_BYTES, TRAILER_SHARE * size) else 0


def left_over(path: Path, size: int) -> str:
    """A warning about that many bytes."""
    return f"{path} has {size / 1e6:.1f} MB behind its audio that are not read (joined files?)"


def _find(path: Path, magic: bytes, start: int) -> int:
    with path.open("rb") as stream:
        stream.seek(start)
        kept = b""
        while data := stream.read(CHUNK_BYTES):
            found = (kept + data).find(magic)
            if found >= 0:
                return stream.tell() - len(data) - len(kept) + found
            kept = data[-len(magic) :]
    return -1
