"""Recordings and pipes as live sources: a file, or raw audio on stdin."""

from __future__ import annotations

import logging
import os
import select
import time
from collections.abc import Iterator

import numpy as np

from birdwatch.audio.file import AudioFile
from birdwatch.audio.types import AudioBlock
from birdwatch.errors import SourceError
from birdwatch.live.source import PIPE, Chunk, Clock, Stamp
from birdwatch.paths import text_of

__all__ = ["PipeSource", "RecordedSource"]

log = logging.getLogger(__name__)

# As a microphone's blocks.
BLOCKS_A_SECOND = 20
# What is read at once of a pipe, which holds no more: of many channels at a high rate a second would be 500 MB.
READ_BYTES = 1 << 20


class RecordedSource:
    """An audio file, one `channel` of it or their mean.

    live (`--realtime`): it plays in real time, and is stamped when it does. Otherwise it waits for the reader, and its
    chunks are stamped as if it had begun to sound when it was opened. Packets that cannot be decoded are a gap,
    `damaged`. What is wrong with the file is logged at its end.
    """

    traits = PIPE
    lost_reason = "device-lost"

    def __init__(self, path: str, clock: Clock, *, live: bool, channel: int | None = None) -> None:
        self._audio = AudioFile(path, channel=channel)
        self.name = text_of(path)
        self.live = live
        self.finished = False
        self._clock = clock
        self._start: Stamp | None = None
        self._end_frame = 0
        self._blocks: Iterator[AudioBlock] = iter(())

    def open(self) -> None:
        """Begin at the start."""
        if self._start is None:
            self._start = self._clock.now()
            self._blocks = self._audio.blocks(max(1, self._audio.rate_hz // BLOCKS_A_SECOND))

    def ready(self) -> bool:
        """Whether it was opened."""
        return self._start is not None

    def read(self, timeout_s: float) -> list[Chunk]:
        """The next twentieth of a second; none where the file ends. Raises DecodeError where it breaks off."""
        block = next(self._blocks, None)
        if block is None or self._start is None:
            self.finished = True
            for warning in self._audio.warnings:
                log.warning("%s", warning)
            return []
        lost, self._end_frame = block.start_frame - self._end_frame, block.end_frame
        due = _later(self._start, block.end_frame, block.rate_hz)
        if self.live:
            late_ns = self._clock.now().steady_ns - due.steady_ns
            if late_ns < 0:
                time.sleep(-late_ns / 1_000_000_000)
            due = self._clock.now()
        return [Chunk(block.samples[:, None], block.rate_hz, due, lost_frames=lost, lost_reason="damaged")]

    def close(self) -> None:
        """The file is closed with its last block."""
        self._blocks = iter(())


class PipeSource:
    """Raw little-endian 16-bit audio on a file descriptor, as `arecord -t raw -f S16_LE` and `ffmpeg -f s16le` write.

    live (`--realtime`): it comes as it is recorded, and is stamped as it arrives; late audio is not lost. Otherwise it
    may come faster and waits for the reader.
    """

    traits = PIPE
    lost_reason = "device-lost"

    def __init__(self, descriptor: int, clock: Clock, *, rate_hz: int, channels: int, live: bool) -> None:
        if os.isatty(descriptor):
            raise SourceError("--source - reads raw audio from a pipe and stdin is a terminal; pipe something into it")
        self.name = "-"
        self.live = live
        self.finished = False
        self._descriptor = descriptor
        self._clock = clock
        self._rate_hz = rate_hz
        self._channels = channels
        self._rest = b""
        self._start: Stamp | None = None
        self._frames = 0

    def open(self) -> None:
        """Begin to read."""
        self._start = self._start or self._clock.now()

    def ready(self) -> bool:
        """Whether it was opened."""
        return self._start is not None

    def read(self, timeout_s: float) -> list[Chunk]:
        """What has arrived, at most a second of it."""
        if self._start is None or not select.select([self._descriptor], [], [], timeout_s)[0]:
            return []
        frame_bytes = 2 * self._channels
        data = os.read(self._descriptor, min(self._rate_hz * frame_bytes, READ_BYTES))
        if not data:
            if not self._frames:
                raise SourceError("--source - ended before its first sample; is the program that writes to it running?")
            self.finished = True
            return []
        data = self._rest + data
        frames = len(data) // frame_bytes
        self._rest = data[frames * frame_bytes :]
        if not frames:
            return []
        integers = np.frombuffer(data, "<i2", frames * self._channels).reshape(frames, self._channels)
        samples = integers.astype(np.float32) / np.float32(32768)
        self._frames += frames
        stamp = self._clock.now() if self.live else _later(self._start, self._frames, self._rate_hz)
        return [Chunk(samples, self._rate_hz, stamp)]

    def close(self) -> None:
        """Stdin is not closed."""


def _later(start: Stamp, frames: int, rate_hz: int) -> Stamp:
    ns = frames * 1_000_000_000 // rate_hz
    return Stamp(start.steady_ns + ns, start.awake_ns + ns, start.utc_ns + ns)
