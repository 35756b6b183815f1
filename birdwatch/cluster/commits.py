"""The store of a distributed run: one immutable file per scored recording or section, however often it is scored.

    STORE/plan.json and others            what is to be done (birdwatch.cluster.plan)
    STORE/units/ab/abcd...                a scored recording or section, named by its key and the run's parameters
    STORE/units/ab/abcd....fault          why a recording could not be scored; another try may still score it

A commit is written under a name of its own, flushed to the disk, and then linked to its final name, or made an object
of that name where there is none: the first one wins, and a file with its final name is whole. Execution is at least
once, the result exactly once.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from birdwatch.audio.types import FloatArray
from birdwatch.batch.jobs import Job
from birdwatch.batch.run_database import PRESENT, Facts, Piece
from birdwatch.cluster.sections import whole
from birdwatch.cluster.store_files import StorePlace, files_of, written
from birdwatch.errors import SinkError, SourceError

__all__ = ["Commit", "CommitStore", "CommitWriter", "job_hash"]

# A commit: its pieces, then a JSON object that says where each lies, then the length of that object.
LENGTH_BYTES = 8
FAULT = ".fault"
KEPT_BYTES = 1 << 22


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
    provider and probe. reopened: its bytes again.
    """

    reopened: Callable[[], IO[bytes]]
    facts: Facts
    index: tuple[tuple[str, int, int, int], ...]
    worker: Mapping[str, str]

    def pieces(self) -> Iterator[Piece]:
        """The pieces, one at a time in memory."""
        with self.reopened() as stream:
            for kind, number, offset, length in self.index:
                stream.seek(offset)
                yield kind, number, stream.read(length)  # type: ignore[misc]


class CommitStore:
    """The commits of a run with these `parameters`, in the folder `folder`, here or in an object store."""

    def __init__(self, folder: StorePlace, parameters: Mapping[str, Any]) -> None:
        self.folder = folder
        self.files = files_of(folder)
        self._parameters = parameters

    def name_of(self, job: Job) -> str:
        """Where in the store the recording's result is, or will be."""
        name = job_hash(job, self._parameters)
        return f"units/{name[:2]}/{name}"

    def path_of(self, job: Job) -> Path:
        """The same in a store that is a folder here."""
        assert isinstance(self.folder, Path)
        return self.folder / self.name_of(job)

    def has(self, job: Job) -> bool:
        """Whether the recording is scored. Raises SourceError where that cannot be told."""
        return self.have([job])[0]

    def have(self, jobs: Iterable[Job]) -> list[bool]:
        """Whether each recording is scored, many asked for at once. Raises SourceError where that cannot be told."""
        try:
            return self.files.has(map(self.name_of, jobs))
        except OSError as error:
            raise SourceError(f"the store {self.folder} cannot be read ({error.strerror or error})") from error

    def have_parts(self, parts: Sequence[Job]) -> list[bool]:
        """As `have`, of recordings and sections; a section is also scored where its whole recording is."""
        found = self.have(parts)
        missing = [number for number, there in enumerate(found) if not there and parts[number].section is not None]
        for number, there in zip(missing, self.have(whole(parts[number]) for number in missing), strict=True):
            found[number] = there
        return found

    def read(self, job: Job) -> Commit | None:
        """The recording's result, or None where there is none yet. Raises SourceError where it is damaged."""
        name = self.name_of(job)
        try:
            stream = self.files.open(name)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SourceError(f"the commit {self.folder}/{name} cannot be read ({error.strerror or error})") from error
        try:
            with stream:
                return _read(self._reopened(name, stream), stream)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SourceError(
                f"the commit {self.folder}/{name} cannot be read ({error}); delete it and score again"
            ) from error

    def _reopened(self, name: str, stream: IO[bytes]) -> Callable[[], IO[bytes]]:
        """What opens a commit again; a small one from elsewhere is kept, and not asked for twice."""
        if isinstance(self.folder, Path) or stream.seek(0, os.SEEK_END) > KEPT_BYTES:
            return lambda: self.files.open(name)
        stream.seek(0)
        data = stream.read()
        return lambda: io.BytesIO(data)

    def fault(self, job: Job) -> str | None:
        """The reason why the recording could not be scored, or None."""
        with suppress(OSError), self.files.open(self.name_of(job) + FAULT) as stream:
            return stream.read().decode("utf-8")
        return None

    def note_fault(self, job: Job, text: str) -> None:
        """Keep why a recording could not be scored; the last note wins. Raises SinkError."""
        try:
            with written(self.files, self.name_of(job) + FAULT) as stream:
                stream.write(text.encode("utf-8"))
        except OSError as error:
            raise SinkError(f"the store {self.folder} cannot be written ({error.strerror or error})") from error


class CommitWriter:
    """Writes the results of recordings as commits: the `ResultWriter` of a worker.

    worker: is kept in each. floors: the score of each class from which rows are kept, `(classes,)`.
    """

    def __init__(self, store: CommitStore, worker: Mapping[str, str], floors: FloatArray) -> None:
        self._store, self._worker = store, worker
        self.floors = floors
        self._open: dict[int, _Part] = {}
        self.lost = 0

    def begin(self, job: Job) -> int:
        """A recording whose pieces come before it is done. Its number."""
        part = _Part(self._store, self._store.name_of(job))
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
        """Remove unfinished commits."""
        while self._open:
            self._open.popitem()[1].remove()


class _Part:
    """A commit that is being written, under a name of its own."""

    def __init__(self, store: CommitStore, name: str) -> None:
        self._files, self._name = store.files, name
        self._shown = f"{store.folder}/{name}"
        self._index: list[tuple[str, int, int, int]] = []
        try:
            self._temporary = store.files.temporary(name)
            self._stream = self._temporary.open("xb")
        except OSError as error:
            raise self._refused(error) from error
        self.number = self._stream.fileno()

    def add(self, piece: Piece) -> None:
        kind, number, data = piece
        try:
            self._index.append((kind, number, self._stream.tell(), len(data)))
            self._stream.write(data)
        except OSError as error:
            self.remove()
            raise self._refused(error) from error

    def commit(self, facts: Facts, worker: Mapping[str, str]) -> bool:
        """Give it its final name; False where another one has it."""
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
            return self._files.publish(self._temporary, self._name, once=True)
        except OSError as error:
            raise self._refused(error) from error
        finally:
            self.remove()

    def remove(self) -> None:
        """Close it and remove the temporary name."""
        with suppress(OSError):
            self._stream.close()
        self._temporary.unlink(missing_ok=True)

    def _refused(self, error: OSError) -> SinkError:
        return SinkError(f"the store cannot be written: {self._shown} ({error.strerror})")


def _read(reopened: Callable[[], IO[bytes]], stream: IO[bytes]) -> Commit:
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
    return Commit(reopened, facts, index, head["worker"])
