"""A part of a file, read like a file."""

from __future__ import annotations

import io
from pathlib import Path

__all__ = ["Region"]


class Region(io.FileIO):
    """`size` bytes of `path` from `start` on, to be read and sought in: positions count from `start`."""

    def __init__(self, path: Path, start: int, size: int) -> None:
        super().__init__(path, "rb")
        self._start, self._size = start, size
        super().seek(start)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte; returns where that is."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self._size}[whence]
        return super().seek(self._start + max(0, origin + offset)) - self._start

    def tell(self) -> int:
        """The byte that is read next."""
        return super().tell() - self._start

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read up to the end of the region; returns the bytes that were read."""
        room = max(0, self._size - self.tell())
        return super().readinto(memoryview(buffer)[:room]) or 0

    def read(self, size: int | None = -1) -> bytes:
        """Read up to the end of the region."""
        room = max(0, self._size - self.tell())
        return super().read(room if size is None or size < 0 else min(size, room)) or b""
