"""Saves the audio of stations: files cut at full minutes, named like those of field recorders, in a bounded folder.

One thread writes for all stations, so that no disk holds up listening. A segment is written under its final name and
synchronised every second: it can be read to its last second after a power cut.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from birdwatch._version import __version__
from birdwatch.audio.continuation import Place, place_text
from birdwatch.audio.resample import Resampler
from birdwatch.audio.types import AudioBlock, FloatArray
from birdwatch.live.bounded_folder import BoundedFolder

__all__ = ["SUFFIXES", "Recorder", "RecordingThread"]

log = logging.getLogger(__name__)

# Files that count towards the bound of a recording's folder.
SUFFIXES = (".flac", ".opus")
SEGMENT_NS = 60_000_000_000
SYNC_S = 1.0
# Blocks that may wait for the disk, of all stations: half a minute of eight at 40 blocks a second.
MAX_BLOCKS = 10_000
# Times follow the machine's clock by milliseconds; a larger jump is a clock that was set.
STEP_NS = 1_000_000_000
# Opus knows this rate and its divisors.
OPUS_RATE_HZ = 48000
# Audio that is not written within this time at the end is lost: a disk may hang for ever.
CLOSE_S = 3.0
# What a disk makes of writing; libsndfile's own errors are RuntimeErrors.
FAULTS = (OSError, RuntimeError)


class RecordingThread:
    """Writes what recorders `put`; `close` at the end."""

    def __init__(self) -> None:
        self._queue: queue.Queue[tuple[Recorder, AudioBlock | None, int]] = queue.Queue(MAX_BLOCKS)
        self._ended = threading.Event()
        self._recorders: set[Recorder] = set()
        self._thread = threading.Thread(target=self._run, name="record", daemon=True)
        self._thread.start()

    def put(self, recorder: Recorder, block: AudioBlock | None, utc_ns: int) -> bool:
        """Queue a block; False where the disk is too slow and it is lost to the recording."""
        try:
            self._queue.put_nowait((recorder, block, utc_ns))
        except queue.Full:
            return False
        return True

    def close(self) -> None:
        """Write what waits and end all segments, within three seconds."""
        self._ended.set()
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        while not (self._ended.is_set() and self._queue.empty()):
            try:
                recorder, block, utc_ns = self._queue.get(timeout=0.2)
            except queue.Empty:
                continue
            self._recorders.add(recorder)
            self._write(recorder, block, utc_ns)
        for recorder in self._recorders:
            self._write(recorder, None, 0)

    def _write(self, recorder: Recorder, block: AudioBlock | None, utc_ns: int) -> None:
        try:
            recorder.write(block, utc_ns)
        except Exception as error:
            # Unexpected errors of one station do not affect the others, and must show in its status.
            log.exception("recording has failed")
            recorder.fault = f"recording has failed: {type(error).__name__}: {error}"


class Recorder:
    """One station's recording: `push` its blocks with their UTC. `fault` says why the last block was not kept.

    bounded: the folder, which several stations may share. form: `flac` (lossless, 16 bits) or `opus` (at 48 kHz).
    `lost_s` counts audio that the disk could not take.
    """

    def __init__(self, bounded: BoundedFolder, station: str, thread: RecordingThread, *, form: str = "flac") -> None:
        self.fault: str | None = None
        self.lost_s = 0.0
        self._station = station
        self._thread = thread
        self._form = form
        self._bounded = bounded
        self._file: Any = None
        self._stream: Any = None
        self._path: Path | None = None
        self._rate_hz = 0
        self._next_frame = -1
        self._next_ns = 0
        # New after each gap, so that a run can tell which segments continue each other.
        self._stretch = ""
        self._end_frame = 0
        self._synced_frame = 0
        self._resampler: Resampler | None = None
        self._resampled = 0

    def push(self, block: AudioBlock, utc_ns: int) -> None:
        """Record a mono block that began at `utc_ns`. Never waits."""
        if not self._thread.put(self, block, utc_ns):
            self.lost_s += len(block.samples) / block.rate_hz
            self.fault = f"{self._bounded.folder} is too slow for recording; {self.lost_s:.1f} s were not saved"

    def end(self) -> None:
        """End the segment that is under way: the station stops."""
        self._thread.put(self, None, 0)

    def write(self, block: AudioBlock | None, utc_ns: int) -> None:
        """In the thread: write a block, across as many segments as it spans; None ends the segment."""
        if block is None:
            self._end_anyway()
            self._next_frame = -1
            return
        continues = block.start_frame == self._next_frame and block.rate_hz == self._rate_hz
        if not continues or abs(utc_ns - self._next_ns) > STEP_NS:
            self._end_anyway()
            self._stretch = uuid.uuid4().hex
        start, samples = block.start_frame, block.samples
        self._next_frame, self._rate_hz = block.end_frame, block.rate_hz
        self._next_ns = utc_ns + len(samples) * 1_000_000_000 // block.rate_hz
        try:
            while len(samples):
                if self._file is None:
                    self._begin(start, utc_ns + (start - block.start_frame) * 1_000_000_000 // block.rate_hz)
                part = samples[: self._end_frame - start]
                self._append(part)
                start, samples = start + len(part), samples[len(part) :]
                if start >= self._end_frame:
                    self._end()
                elif start - self._synced_frame >= SYNC_S * self._rate_hz:
                    self._synced_frame = start
                    self._sync()
        except FAULTS as error:
            self.lost_s += len(samples) / block.rate_hz
            self._failed(error)
            self._next_frame = -1
            self._forget()

    def _failed(self, error: Exception) -> None:
        if self.fault is None:
            log.warning("%s cannot be recorded to %s: %s", self._station, self._bounded.folder, error)
        self.fault = f"audio cannot be recorded to {self._bounded.folder}: {error}"

    def _begin(self, frame: int, utc_ns: int) -> None:
        """A new segment that begins with `frame` and ends at the next full minute."""
        self._bounded.make_room(utc_ns / 1e9)
        minute_ns = (utc_ns // SEGMENT_NS + 1) * SEGMENT_NS
        self._end_frame = frame + max(1, -(-(minute_ns - utc_ns) * self._rate_hz // 1_000_000_000))
        self._synced_frame = frame
        moment = datetime.fromtimestamp(utc_ns // 1_000_000_000, UTC)
        stem = f"{self._station.replace('/', '-')}_{moment:%Y%m%d_%H%M%S}"
        path = self._bounded.folder / f"{stem}.{self._form}"
        number = 1
        while path.exists():
            number += 1
            path = self._bounded.folder / f"{stem}_{number}.{self._form}"
        self._path = path
        self._stream = path.open("xb")
        opus = self._form == "opus"
        self._resampler = Resampler(self._rate_hz, OPUS_RATE_HZ) if opus and self._rate_hz != OPUS_RATE_HZ else None
        self._file = soundfile.SoundFile(
            self._stream,
            "w",
            samplerate=OPUS_RATE_HZ if opus else self._rate_hz,
            channels=1,
            format="OGG" if opus else "FLAC",
            subtype="OPUS" if opus else "PCM_16",
        )
        fraction_ms = utc_ns % 1_000_000_000 // 1_000_000
        self._file.comment = (
            f"GUANO|Version: 1.0\nTimestamp: {moment:%Y-%m-%dT%H:%M:%S}.{fraction_ms:03d}Z\nMake: birdwatch\n"
            f"Firmware Version: {__version__}\nSite Name: {self._station}\nSamplerate: {self._rate_hz}\n"
            # Frames of a resampled file are not those of the stream.
            + ("" if self._resampler else place_text(Place(self._stretch, frame)))
        )
        self.fault = None

    def _append(self, samples: FloatArray) -> None:
        # libsndfile wraps around what is beyond full scale.
        clipped = np.clip(samples, -1.0, 1.0)
        if self._resampler is None:
            self._file.write(clipped)
            return
        for block in self._resampler.push(AudioBlock(clipped, self._resampled, self._rate_hz)):
            self._file.write(np.clip(block.samples, -1.0, 1.0))
        self._resampled += len(clipped)

    def _sync(self) -> None:
        self._file.flush()
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def _end_anyway(self) -> None:
        """End the segment; where that cannot be done (it was removed, the disk is full), what is in it stays."""
        try:
            self._end()
        except FAULTS as error:
            self._failed(error)

    def _end(self) -> None:
        if self._file is None or self._path is None:
            return
        try:
            if self._resampler is not None:
                for block in self._resampler.finish():
                    self._file.write(np.clip(block.samples, -1.0, 1.0))
            self._file.close()
            self._stream.close()
            stat = self._path.stat()
            self._bounded.add(self._path, stat.st_mtime, stat.st_size)
        finally:
            self._forget()

    def _forget(self) -> None:
        """Let go of the file; what is in it stays."""
        for thing in (self._file, self._stream):
            if thing is not None and not thing.closed:
                try:
                    thing.close()
                except FAULTS as error:
                    log.debug("closing %s: %s", self._path, error)
        self._file = self._stream = self._path = self._resampler = None
        self._resampled = 0
