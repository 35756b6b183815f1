"""The store of a shared run: one immutable file per scored recording or section, whoever scores it and however often.

    STORE/plan.json, STORE/jobs.jsonl     what is to be done (birdwatch.cluster.plan)
    STORE/units/ab/abcd...                a scored recording or section, named by its key and the run's parameters
    STORE/units/ab/abcd....fault          why a recording could not be scored; another try may still score it

A commit is written under a name of its own, flushed to the disk, and then linked to its final name: the first one wins,
and a file with its final name is whole. Execution is at least once, the result exactly once.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from birdwatch.audio.types import FloatArray
from birdwatch.batch.jobs import Job
from birdwatch.batch.run_database import PRESENT, Facts, Piece
from birdwatch.errors import SinkError, SourceError

__all__ = ["Commit", "CommitStore", "CommitWriter", "job_hash"]

# A commit: its pieces, then a JSON object that says where each lies, then the length of that object.
LENGTH_BYTES = 8


def job_hash(job: Job, parameters: Mapping[str, Any]) -> str:
    """The name of a recording's or section's result: other files' sizes and times, and scoring, give another one."""
    files = [(*file.key, file.size_bytes, file.mtime_ns) for file in (job, *job.rest)]
    section = [] if job.section is None else [[job.section.start_frame, job.section.end_frame]]
    text = json.dumps([files, parameters, *section], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Commit:
    """A scored recording as it was committed.

    facts: what is known of it. pieces: kind, number, where in the file, how long. worker: who scored it, and with which
    provider and probe.
    """

    path: Path
    facts: Facts
    index: tuple[tuple[str, int, int, int], ...]
    worker: Mapping[str, str]

    def pieces(self) -> Iterator[Piece]:
        """The pieces, one at a time in memory."""
        with self.path.open("rb") as stream:
            for kind, number, offset, length in self.index:
                stream.seek(offset)
                yield kind, number, stream.read(length)  # type: ignore[misc]


class CommitStore:
    """The commits of a run with these `parameters`, in the folder `folder`."""

    def __init__(self, folder: Path, parameters: Mapping[str, Any]) -> None:
        self.folder = folder
        self._parameters = parameters

    def path_of(self, job: Job) -> Path:
        """Where the recording's result is, or will be."""
        name = job_hash(job, self._parameters)
        return self.folder / "units" / name[:2] / name

    def has(self, job: Job) -> bool:
        """Whether the recording is scored."""
        return self.path_of(job).exists()

    def read(self, job: Job) -> Commit | None:
        """The recording's result, or None where there is none yet. Raises SourceError where it is damaged."""
        path = self.path_of(job)
        try:
            with path.open("rb") as stream:
                return _read(path, stream)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SourceError(f"the commit {path} cannot be read ({error}); delete it and score again") from error

    def fault(self, job: Job) -> str | None:
        """Why the recording could not be scored, or None."""
        with suppress(OSError):
            return self.path_of(job).with_suffix(".fault").read_text("utf-8")
        return None

    def note_fault(self, job: Job, text: str) -> None:
        """Keep why a recording could not be scored; the last note wins. Raises SinkError."""
        path = self.path_of(job).with_suffix(".fault")
        part = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(text, "utf-8")
            part.replace(path)
        except OSError as error:
            raise SinkError(f"the store {self.folder} cannot be written ({error})") from error


class CommitWriter:
    """Keeps the results of scored recordings as commits: the `ResultWriter` of a worker.

    worker: is kept in each. floors: the score of each class from which rows are kept, `(classes,)`.
    """

    def __init__(self, store: CommitStore, worker: Mapping[str, str], floors: FloatArray) -> None:
        self._store, self._worker = store, worker
        self.floors = floors
        self._open: dict[int, _Part] = {}
        self.lost = 0

    def begin(self, job: Job) -> int:
        """A recording whose pieces come before it is done. Its number."""
        part = _Part(self._store.path_of(job))
        number = part.number
        self._open[number] = part
        return number

    def add(self, recording: int, piece: Piece) -> None:
        """Keep a piece of a recording that has begun."""
        self._open[recording].add(piece)

    def finish(self, job: Job, recording: int | None, pieces: Sequence[Piece], facts: Facts) -> None:
        """Commit the recording; where another worker was first, its result stays. Raises SinkError."""
        part = self._open.pop(self.begin(job) if recording is None else recording)
        for piece in pieces:
            part.add(piece)
        if not part.commit(facts, self._worker):
            self.lost += 1

    def abandon(self) -> None:
        """Remove what was begun and not finished."""
        while self._open:
            self._open.popitem()[1].remove()


class _Part:
    """A commit that is being written, under a name of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        self._index: list[tuple[str, int, int, int]] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self._temporary.open("xb")
        except OSError as error:
            raise SinkError(f"the store cannot be written: {self._temporary} ({error.strerror})") from error
        self.number = self._stream.fileno()

    def add(self, piece: Piece) -> None:
        kind, number, data = piece
        try:
            self._index.append((kind, number, self._stream.tell(), len(data)))
            self._stream.write(data)
        except OSError as error:
            self.remove()
            raise SinkError(f"the store cannot be written: {self._temporary} ({error.strerror})") from error

    def commit(self, facts: Facts, worker: Mapping[str, str]) -> bool:
        """Link it to its final name; False where another one is there."""
        head = {
            "frames": facts.frames,
            "silent_frames": facts.silent_frames,
            "unscored_frames": facts.unscored_frames,
            "windows": facts.windows,
            "present": base64.b64encode(facts.present.tobytes()).decode("ascii"),
            "warning": facts.warning,
            "pieces": self._index,
            "worker": dict(worker),
        }
        text = json.dumps(head).encode("ascii")
        try:
            self._stream.write(text + len(text).to_bytes(LENGTH_BYTES, "little"))
            self._stream.flush()
            os.fsync(self._stream.fileno())
            os.link(self._temporary, self.path)
        except FileExistsError:
            return False
        except OSError as error:
            raise SinkError(f"the store cannot be written: {self.path} ({error.strerror})") from error
        finally:
            self.remove()
        return True

    def remove(self) -> None:
        """Close it and remove the temporary name."""
        with suppress(OSError):
            self._stream.close()
        self._temporary.unlink(missing_ok=True)


def _read(path: Path, stream: IO[bytes]) -> Commit:
    end = stream.seek(-LENGTH_BYTES, os.SEEK_END)
    length = int.from_bytes(stream.read(LENGTH_BYTES), "little")
    if length > end:
        raise ValueError("its end is missing")
    stream.seek(end - length)
    head = json.loads(stream.read(length))
    facts = Facts(
        head["frames"],
        head["silent_frames"],
        head["unscored_frames"],
        head["windows"],
        np.frombuffer(base64.b64decode(head["present"]), PRESENT),
        head["warning"],
    )
    index = tuple((str(kind), int(number), int(offset), int(size)) for kind, number, offset, size in head["pieces"])
    return Commit(path, facts, index, head["worker"])
