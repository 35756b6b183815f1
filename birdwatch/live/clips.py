"""The audio of events as FLAC files in a folder that stays bounded, oldest removed first.

A disk that somebody else is filling is left alone: no clip is written then, none is removed for it, and listening
goes on.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections import deque
from pathlib import Path

import numpy as np
import soundfile

from birdwatch.audio.ring import RingBuffer
from birdwatch.audio.types import AudioBlock

__all__ = ["Clips"]

log = logging.getLogger(__name__)

# A clip begins and ends this much outside its event, and its audio is held this long: the event ends a few windows
# before that is known.
MARGIN_S = 1.0
HELD_S = 90.0
# Below this nothing is written: whatever fills the disk, the rest of the machine needs the last of it.
MIN_FREE_BYTES = 200_000_000


class Clips:
    """Holds the newest audio of one stream: `push` its blocks, `save` what an event spans.

    folder: is made where it does not exist. max_bytes: of all `.flac` files in it together. `fault` says why the last
    clip could not be saved, None where it could.
    """

    def __init__(self, folder: Path, *, max_bytes: int, min_free_bytes: int = MIN_FREE_BYTES) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.saved = 0
        self.removed = 0
        self.fault: str | None = None
        self._min_free_bytes = min_free_bytes
        self._ring = RingBuffer(1)
        self._rate_hz = 0
        # (size, path) of the clips that are there, the oldest first; the folder is read once.
        self._files: deque[tuple[int, Path]] | None = None
        self._bytes = 0

    def push(self, block: AudioBlock) -> None:
        """Hold a block; what came before a hole or a change of rate is let go."""
        if block.rate_hz != self._rate_hz:
            self._rate_hz = block.rate_hz
            self._ring = RingBuffer(round(HELD_S * block.rate_hz))
        if block.start_frame != self._ring.end_frame:
            self._ring.restart(block.start_frame)
        self._ring.append(block.samples)

    def save(self, name: str, start_s: float, end_s: float) -> Path | None:
        """Write what is still held of `[start_s, end_s)` of the stream, a second more on both sides.

        Returns the file's absolute path, or None where nothing of it is held or it could not be written.
        """
        start = max(self._ring.start_frame, round((start_s - MARGIN_S) * self._rate_hz))
        end = min(self._ring.end_frame, round((end_s + MARGIN_S) * self._rate_hz))
        if end <= start:
            return None
        path = self.folder.absolute() / f"{name}.flac"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._make_room()
            free = shutil.disk_usage(self.folder).free
            if free < self._min_free_bytes:
                raise OSError(f"only {free / 1e6:.0f} MB are free on its disk")
            size = self._write(path, self._ring.read(start, end - start))
        except (OSError, soundfile.LibsndfileError) as error:
            if self.fault is None:
                log.warning("clips cannot be saved in %s: %s; listening goes on without", self.folder, error)
            self.fault = f"clips cannot be saved in {self.folder}: {error}"
            return None
        if self.fault is not None:
            log.warning("clips are saved again in %s", self.folder)
        self.fault = None
        self.saved += 1
        assert self._files is not None
        self._files.append((size, path))
        self._bytes += size
        self._make_room()
        return path

    def _write(self, path: Path, samples: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> int:
        beside = path.with_suffix(".part")
        try:
            with beside.open("wb") as stream:
                soundfile.write(stream, samples, self._rate_hz, format="FLAC", subtype="PCM_16")
            size = beside.stat().st_size
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        return size

    def _make_room(self) -> None:
        """Remove the oldest clips while all of them together are too large."""
        if self._files is None:
            found = [(entry.stat(), Path(entry.path)) for entry in os.scandir(self.folder) if _is_clip(entry)]
            found.sort(key=lambda item: (item[0].st_mtime_ns, item[1].name))
            self._files = deque((stat.st_size, path.absolute()) for stat, path in found)
            self._bytes = sum(size for size, _ in self._files)
        # The newest stays: an event's message is about to name it.
        while self._bytes > self.max_bytes and len(self._files) > 1:
            size, path = self._files.popleft()
            path.unlink(missing_ok=True)
            self._bytes -= size
            self.removed += 1


def _is_clip(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith(".flac") and entry.is_file(follow_symlinks=False)
