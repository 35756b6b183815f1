"""The audio of events as FLAC files in a bounded folder, the oldest removed first.

On a disk that is nearly full no clip is written, none is removed to make room for others, and listening continues.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import soundfile

from birdwatch.audio.ring import RingBuffer
from birdwatch.audio.types import AudioBlock
from birdwatch.live.bounded_folder import MIN_FREE_BYTES, BoundedFolder

__all__ = ["Clips"]

log = logging.getLogger(__name__)

# A clip begins and ends this much outside its event, and its audio is held this long: the event ends a few windows
# before that is known.
MARGIN_S = 1.0
HELD_S = 90.0


class Clips:
    """Buffers the newest audio of one stream: `push` its blocks, `save` the audio of an event.

    folder: is made where it does not exist. max_bytes: of all `.flac` files in it together. shared: the folder of
    several stations' clips, which together stay within its bound. `fault` says why the last clip could not be saved.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int,
        min_free_bytes: int = MIN_FREE_BYTES,
        shared: BoundedFolder | None = None,
    ) -> None:
        self.folder = folder
        self.saved = 0
        self.fault: str | None = None
        self._bounded = shared or BoundedFolder(
            folder, max_bytes=max_bytes, suffixes=(".flac",), min_free_bytes=min_free_bytes
        )
        self._ring = RingBuffer(1)
        self._rate_hz = 0

    @property
    def removed(self) -> int:
        """Clips that were removed to stay within the bound."""
        return self._bounded.removed

    def push(self, block: AudioBlock) -> None:
        """Hold a block; what came before a gap or a change of rate is discarded."""
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
            self._bounded.make_room()
            modified_s, size = self._write(path, self._ring.read(start, end - start))
            self._bounded.add(path, modified_s, size)
        except (OSError, soundfile.LibsndfileError) as error:
            if self.fault is None:
                log.warning("clips cannot be saved in %s: %s; listening continues without", self.folder, error)
            self.fault = f"clips cannot be saved in {self.folder}: {error}"
            return None
        if self.fault is not None:
            log.warning("clips are saved again in %s", self.folder)
        self.fault = None
        self.saved += 1
        return path

    def _write(self, path: Path, samples: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> tuple[float, int]:
        """When it was written, and its size; under its final name it may be removed at any moment."""
        beside = path.with_suffix(".part")
        try:
            # A new file: a pipe or a link of that name is not written to.
            with beside.open("xb") as stream:
                soundfile.write(stream, samples, self._rate_hz, format="FLAC", subtype="PCM_16")
            found = beside.stat()
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        return found.st_mtime, found.st_size
