"""Reads small user-supplied files robustly, since a station reads some of them while it listens."""

from __future__ import annotations

import errno
import os
import select
import stat
from pathlib import Path

__all__ = ["read_text", "read_whole"]

CHUNK_BYTES = 1 << 20
# A program that writes into a pipe has this long for its next bytes: a station obeys SIGTERM in five seconds.
PIPE_S = 2.0


def read_whole(path: Path, *, limit: int, pipes: bool = False) -> bytes:
    """The content of a file of at most `limit` bytes.

    Raises OSError whose `strerror` says why: not there, a folder, a device without an end, larger, or a pipe where
    `pipes` are not taken, or one into which nothing is written.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
        if kind == stat.S_IFDIR:
            raise _error(errno.EISDIR, os.strerror(errno.EISDIR), path)
        is_pipe = kind == stat.S_IFIFO
        if kind != stat.S_IFREG and not (is_pipe and pipes):
            raise _error(errno.EINVAL, "it is no ordinary file", path)
        content = bytearray()
        while chunk := _read(descriptor, path, is_pipe=is_pipe):
            content += chunk
            if len(content) > limit:
                raise _error(errno.EFBIG, f"it has more than {limit} bytes", path)
        return bytes(content)
    finally:
        os.close(descriptor)


def read_text(path: Path, *, limit: int) -> str:
    """A text file or pipe in UTF-8, with or without a byte order mark. Raises OSError, UnicodeDecodeError."""
    return read_whole(path, limit=limit, pipes=True).decode("utf-8-sig")


def _read(descriptor: int, path: Path, *, is_pipe: bool) -> bytes:
    if is_pipe and not select.select([descriptor], [], [], PIPE_S)[0]:
        raise _error(errno.ETIMEDOUT, f"nothing was written into this pipe for {PIPE_S:g} s", path)
    return os.read(descriptor, CHUNK_BYTES)


def _error(number: int, text: str, path: Path) -> OSError:
    return OSError(number, text, str(path))
