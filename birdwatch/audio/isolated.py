"""Decodes recordings in separate processes: a codec that crashes or hangs fails one recording, never the run.

Plain samples are read in this process, which is safe.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path
from queue import Empty, Queue
from types import TracebackType
from typing import Any

import numpy as np

from birdwatch.audio.decode_worker import HEADER, START
from birdwatch.audio.file import AudioFile, is_plain, start_of
from birdwatch.audio.types import AudioBlock
from birdwatch.errors import DecodeError

__all__ = ["Decoders", "IsolatedAudio"]

# A decoder that has not answered for this long hangs: it decodes hours in that time.
HANG_S = 60.0
# Answers in the queue: a few seconds of audio.
WAITING = 16
COMMAND = (sys.executable, "-m", "birdwatch.audio.decode_worker")


class Decoders:
    """Up to `count` decoding processes, started when they are needed; close them at the end.

    count 0: every recording is decoded in this process. command: starts a worker.
    """

    def __init__(self, count: int, *, command: Sequence[str] = COMMAND, hang_s: float = HANG_S) -> None:
        self._command, self._hang_s = command, hang_s
        self._free: Queue[_Worker | None] = Queue()
        for _ in range(count):
            self._free.put(None)
        self._count = count
        self._started: set[_Worker] = set()

    def open(self, path: Path, *, channel: int | None = None) -> AudioFile | IsolatedAudio:
        """The recording, as `AudioFile` has it. Raises DecodeError."""
        if not self._count or is_plain(path):
            return AudioFile(path, channel=channel)
        return IsolatedAudio(self, path, channel)

    @contextmanager
    def worker(self) -> Iterator[_Worker]:
        """A worker for one question; one that died or whose answer was not read completely is not used again."""
        worker = self._free.get()
        try:
            if worker is None:
                worker = _Worker(self._command, self._hang_s)
                self._started.add(worker)
            yield worker
            if worker.busy:
                self._end(worker)
                worker = None
        except BaseException:
            if worker is not None:
                self._end(worker)
                worker = None
            raise
        finally:
            self._free.put(worker)

    def _end(self, worker: _Worker) -> None:
        self._started.discard(worker)
        worker.close()

    def close(self) -> None:
        """End the processes, also one whose answer is still being read; otherwise a stopped run would never end."""
        for worker in list(self._started):
            self._end(worker)
        for _ in range(self._free.qsize()):
            with suppress(Empty):
                self._free.get_nowait()
                self._free.put(None)

    def __enter__(self) -> Decoders:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class IsolatedAudio:
    """One recording, decoded by another process; otherwise as `AudioFile`. Raises DecodeError."""

    def __init__(self, decoders: Decoders, path: Path, channel: int | None) -> None:
        self.path, self.channel = path, channel
        self._decoders = decoders
        with decoders.worker() as worker:
            answers = worker.ask("look", path, channel)
            self._take(json.loads(next(answers)[1]))
            for _ in answers:
                pass

    def _take(self, values: dict[str, Any]) -> None:
        self.rate_hz: int = values["rate_hz"]
        self.channels: int = values["channels"]
        self.comment: str = values["comment"]
        self.guano: str = values["guano"]
        self.duration_s: float = values["duration_s"]
        self.exact_frames: int = values["exact_frames"]
        self.warnings: list[str] = values["warnings"]

    def start_utc_ns(self, default: tzinfo = UTC) -> int | None:
        """See `AudioFile.start_utc_ns`."""
        return start_of(self, default)

    def blocks(self) -> Iterator[AudioBlock]:
        """Decode the recording: blocks at its own rate."""
        return self._blocks("decode")

    def stretch(self, first: int, last: int) -> Iterator[AudioBlock]:
        """See `AudioFile.stretch`."""
        return self._blocks("decode", (first, last))

    def _blocks(self, what: str, frames: tuple[int, int] | None = None) -> Iterator[AudioBlock]:
        with self._decoders.worker() as worker:
            for kind, payload in worker.ask(what, self.path, self.channel, frames):
                if kind == b"B":
                    (start,) = START.unpack_from(payload)
                    yield AudioBlock(np.frombuffer(payload, np.float32, offset=START.size), start, self.rate_hz)
                elif kind == b"W":
                    found = json.loads(payload)
                    self.warnings += [line for line in found if line not in self.warnings]


@dataclass(slots=True)
class _End:
    """A worker's pipe has ended."""


class _Worker:
    """One decoding process; a thread reads its answers, since a pipe cannot be waited for everywhere."""

    def __init__(self, command: Sequence[str], hang_s: float) -> None:
        self._hang_s = hang_s
        self.busy = False
        # Without the terminal's signals: the run decides when a worker ends.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )
        self._answers: Queue[tuple[bytes, bytes] | _End] = Queue(WAITING)
        self._closing = threading.Event()
        threading.Thread(target=self._read, name="decode-answers", daemon=True).start()

    def ask(
        self, what: str, path: Path, channel: int | None, frames: tuple[int, int] | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """The frames of an answer. Raises DecodeError where it is one, or where the process dies or hangs."""
        self.busy = True
        question = {"do": what, "path": os.fspath(path), "channel": channel, "frames": frames}
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise self._died(path) from None
        while True:
            try:
                frame = self._answers.get(timeout=self._hang_s)
            except Empty:
                raise DecodeError(
                    f"{path} cannot be read: its decoder has not answered for {self._hang_s:g} s and was stopped",
                    path=path,
                ) from None
            if isinstance(frame, _End):
                raise self._died(path)
            if frame[0] == b"E":
                self.busy = False
                raise DecodeError(json.loads(frame[1]), path=path)
            if frame[0] == b"W":
                self.busy = False
            yield frame
            if frame[0] == b"W":
                return

    def _died(self, path: Path) -> DecodeError:
        code = self._process.wait()
        with suppress(ValueError):
            return DecodeError(
                f"{path} cannot be read: its decoder crashed ({signal.Signals(-code).name}); convert or leave it out",
                path=path,
            )
        return DecodeError(f"{path} cannot be read: its decoder ended with {code}", path=path)

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        with suppress(OSError, ValueError):
            while len(head := stream.read(HEADER.size)) == HEADER.size:
                kind, size = HEADER.unpack(head)
                payload = stream.read(size)
                if len(payload) < size:
                    break
                self._put((kind, payload))
        self._put(_End())

    def _put(self, frame: tuple[bytes, bytes] | _End) -> None:
        while not self._closing.is_set():
            with suppress(Exception):
                self._answers.put(frame, timeout=0.5)
                return

    def close(self) -> None:
        """Stop the process."""
        self._closing.set()
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
