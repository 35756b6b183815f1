"""Clips served to subscribers: only regular files of the clip folder, found by event, in bounded chunks."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CHUNK_BYTES", "ClipChunk", "ClipFolder"]

# One answer. A second of FLAC at 48 kHz is about 50 kB.
CHUNK_BYTES = 256 * 1024

# Listing a folder of 50 000 clips takes tens of milliseconds: questions may cost this part of the time for it.
LISTING_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class ClipChunk:
    """A part of a clip: `content` begins at byte `offset` of `size`; name is the file's, without a folder."""

    event_id: str
    name: str
    size: int
    offset: int
    content: bytes

    @property
    def more(self) -> bool:
        """Whether bytes follow this chunk."""
        return self.offset + len(self.content) < self.size


class ClipFolder:
    """Reads clips of `folder` by the event id at the end of their names, `..._EVENT_ID.flac`.

    No part of a question becomes a path: an event id only selects among the names that the folder lists, and links are
    not followed. clock: monotonic seconds.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._names: dict[str, str] = {}
        self._next_listing_at = 0.0
        self._listed_mtime_ns = -1

    def chunk(self, event_id: str, offset: int) -> ClipChunk | None:
        """At most CHUNK_BYTES of the clip of `event_id` from `offset`; None where there is no such clip."""
        name = self._names.get(event_id) or self._listed().get(event_id)
        if name is None:
            return None
        try:
            with open(self._folder / name, "rb", opener=_no_link) as stream:
                found = os.fstat(stream.fileno())
                if not stat.S_ISREG(found.st_mode):
                    return None
                stream.seek(min(offset, found.st_size))
                content = stream.read(CHUNK_BYTES)
        except OSError:
            # It was removed, as the oldest clips are.
            self._names.pop(event_id, None)
            return None
        return ClipChunk(event_id, name, found.st_size, offset, content)

    def _listed(self) -> dict[str, str]:
        try:
            mtime_ns = self._folder.stat().st_mtime_ns
            began = self._clock()
            if mtime_ns != self._listed_mtime_ns and began >= self._next_listing_at:
                self._names = {_event_id(path.name): path.name for path in self._folder.glob("*.flac")}
                ended = self._clock()
                self._next_listing_at = ended + (ended - began) / LISTING_SHARE
                self._listed_mtime_ns = mtime_ns
        except OSError:
            self._names = {}
        return self._names


def _event_id(name: str) -> str:
    return name.removesuffix(".flac").rpartition("_")[2]


def _no_link(path: str, flags: int) -> int:
    # Non-blocking, so that a FIFO with a clip's name cannot hold the reader up. Windows has neither flag.
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
