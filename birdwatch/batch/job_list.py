"""A list of jobs on the local disk that can be iterated repeatedly: an archive has millions."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from types import TracebackType
from typing import IO, cast

from birdwatch.batch.jobs import Job
from birdwatch.errors import SinkError, reason_of

__all__ = ["JobList"]

# In memory at once.
JOBS = 1024


class JobList:
    """All of `jobs`, read from the start by each loop; one loop at a time. Raises SinkError where the disk is full."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._count = 0
        self._file = cast(IO[bytes], tempfile.TemporaryFile(prefix="birdwatch-"))  # noqa: SIM115 - closed by `close`
        waiting = iter(jobs)
        try:
            while some := list(islice(waiting, JOBS)):
                self._keep(some)
        except BaseException:
            self.close()
            raise

    def _keep(self, some: list[Job]) -> None:
        try:
            pickle.dump(some, self._file, pickle.HIGHEST_PROTOCOL)
            self._file.flush()
        except OSError as error:
            raise SinkError(
                f"the list of recordings cannot be kept on this machine's disk ({reason_of(error)}); name a folder "
                "with room in TMPDIR"
            ) from error
        self._count += len(some)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Job]:
        self._file.seek(0)
        left = self._count
        while left:
            some = pickle.load(self._file)
            left -= len(some)
            yield from some

    def close(self) -> None:
        """The file goes."""
        self._file.close()

    def __enter__(self) -> JobList:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
