"""Downloads a remote recording to the local disk: all of it, or its ends, which contain the headers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from birdwatch.audio.file import AudioFile
from birdwatch.audio.isolated import Decoders, IsolatedAudio
from birdwatch.batch.locations import State, read_blocks, read_range, state_of
from birdwatch.batch.scratch import Scratch
from birdwatch.errors import SourceError
from birdwatch.paths import text_of

__all__ = ["fetch", "open_remote"]

# At both ends of a file lie all headers that are read before it is scored.
END_BYTES = 1 << 18


def open_remote(
    url: str, shown: Path, decoders: Decoders, scratch: Scratch, *, channel: int | None
) -> tuple[State, AudioFile | IsolatedAudio]:
    """A recording's state, and its properties from its first and last bytes, or from all where those do not suffice.

    shown: its name. Raises SourceError, which names it so.
    """
    state = state_of(url, text_of(shown))
    path = scratch.place(shown)
    try:
        if state.size_bytes > 2 * END_BYTES:
            _write_ends(url, state.size_bytes, path, shown)
            try:
                return state, decoders.open(path, channel=channel)
            except SourceError:
                # Headers may be longer; if something is wrong, the whole file shows it.
                pass
        fetch(url, state.size_bytes, path, shown)
        return state, decoders.open(path, channel=channel)
    except SourceError as error:
        raise SourceError(scratch.shown(str(error))) from error
    finally:
        scratch.remove(path)


def _write_ends(url: str, size: int, path: Path, shown: Path) -> None:
    """A file of the right size that holds the recording's first and last bytes and takes no room for the others."""
    head = read_range(url, 0, END_BYTES, size, text_of(shown))
    tail = read_range(url, size - END_BYTES, size, size, text_of(shown))
    try:
        with path.open("wb") as stream:
            stream.write(head)
            stream.seek(size - END_BYTES)
            stream.write(tail)
    except OSError as error:
        raise Scratch.full(error) from error


def fetch(url: str, size: int, path: Path, shown: Path, stop: threading.Event | None = None) -> None:
    """Write a recording of `size` bytes to `path`. shown: its name. Raises SourceError, and SinkError for the disk."""

    def keep(blocks: Iterator[bytes]) -> None:
        try:
            stream = path.open("wb")
        except OSError as error:
            raise Scratch.full(error) from error
        with stream:
            for block in blocks:
                if stop is not None and stop.is_set():
                    raise SourceError(f"{shown} was not fetched: the run was stopped")
                try:
                    stream.write(block)
                except OSError as error:
                    raise Scratch.full(error) from error

    read_blocks(url, size, text_of(shown), keep)
