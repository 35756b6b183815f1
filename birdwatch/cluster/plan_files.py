"""The recordings and units of a plan, read one file at a time."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper

from birdwatch.batch.jobs import Job
from birdwatch.cluster.plan_text import job_line, job_of_line
from birdwatch.cluster.sections import Cutting
from birdwatch.cluster.store_files import StoreFiles, StorePlace, files_of, written
from birdwatch.errors import ConfigError

__all__ = ["PlannedJobs", "PlannedParts", "PlannedUnits", "RecordingFiles", "reading", "write_units"]

UNITS = "units.jsonl"
# Recordings in a file: a megabyte, which a worker reads for each unit.
IN_A_FILE = 4096


def _name(number: int) -> str:
    return f"recordings/{number}.jsonl"


@contextmanager
def reading(folder: StorePlace) -> Iterator[None]:
    """Raise ConfigError for what is wrong with the files of a plan."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{folder} holds no plan ({error.strerror}); `birdwatch plan` writes one") from error
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ConfigError(f"the plan in {folder} cannot be read ({error}); plan again") from error


class RecordingFiles:
    """Writes recordings, one after the other, into files of a plan; files: None to see only what they would be.

    firsts: the number of each file's first part. count, parts: how many there are. digest: of all lines.
    """

    def __init__(self, files: StoreFiles | None) -> None:
        self._files = files
        self._lines: list[bytes] = []
        self.firsts: list[int] = []
        self.count = self.parts = 0
        self.digest = hashlib.sha256()

    def add(self, job: Job, parts: int) -> None:
        """The next recording, which is so many parts."""
        if not self._lines:
            self.firsts.append(self.parts)
        line = job_line(job).encode("ascii")
        self.digest.update(line)
        self._lines.append(line)
        self.count += 1
        self.parts += parts
        if len(self._lines) == IN_A_FILE:
            self.finish()

    def finish(self) -> None:
        """Write what waits."""
        if self._lines and self._files is not None:
            with written(self._files, _name(len(self.firsts) - 1)) as stream:
                stream.writelines(self._lines)
        self._lines = []


def write_units(files: StoreFiles | None, units: Iterable[range]) -> int:
    """Write a plan's units, or only count them."""
    if files is None:
        return sum(1 for _ in units)
    count = 0
    with written(files, UNITS) as stream:
        for unit in units:
            stream.write(f"[{unit.start}, {unit.stop}]\n".encode("ascii"))
            count += 1
    return count


class PlannedJobs:
    """The recordings of a plan in their order, read from its files. firsts: the number of each file's first part."""

    def __init__(self, folder: StorePlace, firsts: tuple[int, ...], count: int) -> None:
        self.folder, self.firsts, self._count = folder, firsts, count
        self._last: tuple[int, list[Job]] = -1, []

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Job]:
        count = 0
        for number in range(len(self.firsts)):
            for job in self.of_file(number):
                count += 1
                yield job
        if count != self._count:
            raise ConfigError(
                f"the plan in {self.folder} cannot be read ({count} of {self._count} recordings); plan again"
            )

    def of_file(self, number: int) -> list[Job]:
        """The recordings of one file."""
        if self._last[0] != number:
            with reading(self.folder), TextIOWrapper(files_of(self.folder).open(_name(number)), "utf-8") as stream:
                self._last = number, [job_of_line(line) for line in stream]
        return self._last[1]


class PlannedParts:
    """The recordings of a plan, or their sections where they are cut, in order; one is had by its number."""

    def __init__(self, jobs: PlannedJobs, cutting: Cutting, count: int) -> None:
        self._jobs, self._cutting, self._count = jobs, cutting, count
        self._last: tuple[int, list[Job]] = -1, []

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Job]:
        for job in self._jobs:
            yield from self._cutting.parts(job)

    def __getitem__(self, number: int) -> Job:
        file = bisect_right(self._jobs.firsts, number) - 1
        if self._last[0] != file:
            self._last = file, [part for job in self._jobs.of_file(file) for part in self._cutting.parts(job)]
        with reading(self._jobs.folder):
            return self._last[1][number - self._jobs.firsts[file]]


class PlannedUnits:
    """The units of a plan, the longest first: the numbers of the parts of each, read when they are asked for."""

    def __init__(self, folder: StorePlace, count: int) -> None:
        self._folder, self._count = folder, count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[range]:
        with reading(self._folder), TextIOWrapper(files_of(self._folder).open(UNITS), "utf-8") as stream:
            for line in stream:
                first, stop = line[1:-2].split(",")
                yield range(int(first), int(stop))
