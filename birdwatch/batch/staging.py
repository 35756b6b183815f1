"""Local copies of remote recordings while they are scored.

The next ones are fetched while the present ones are scored; a file goes as soon as no job needs it any more.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from birdwatch.batch.fetching import fetch
from birdwatch.batch.jobs import Job
from birdwatch.batch.locations import state_of
from birdwatch.batch.scratch import Scratch
from birdwatch.errors import SourceError
from birdwatch.paths import text_of

__all__ = ["Staging"]

# Files that are fetched ahead of those being scored.
AHEAD = 1


class Staging:
    """The files of `jobs`, which are scored in about this order, `at_once` of them side by side.

    So many recordings and one more are on the disk at once, a joined one with all its files. Local files stay where
    they are.
    """

    def __init__(self, jobs: Sequence[Job], at_once: int) -> None:
        files = [file for job in jobs for file in (job, *job.rest) if file.url]
        self._uses = Counter(file.url for file in files)
        self._waiting = iter({file.url: file for file in files}.values())
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._fetched: dict[str, Future[Path]] = {}
        self._limit = at_once + AHEAD
        self._scratch = Scratch() if files else None
        self._pool = ThreadPoolExecutor(self._limit, thread_name_prefix="fetch") if files else None

    @contextmanager
    def files(self, job: Job) -> Iterator[Job]:
        """`job` with paths that can be opened while the block lasts. Raises SourceError."""
        files = [file for file in (job, *job.rest) if file.url]
        if not files:
            yield job
            return
        with self._lock:
            for file in files:
                self._begin(file)
            self._begin_more()
        try:
            yield replace(self._here(job), rest=tuple(map(self._here, job.rest)))
        finally:
            with self._lock:
                for file in files:
                    self._release(file)
                self._begin_more()

    def shown(self, text: str) -> str:
        """A message with the recordings' own names."""
        return text if self._scratch is None else self._scratch.shown(text)

    def _here(self, file: Job) -> Job:
        return replace(file, path=self._fetched[file.url].result()) if file.url else file

    def _begin(self, file: Job) -> None:
        if file.url not in self._fetched:
            assert self._pool is not None
            self._fetched[file.url] = self._pool.submit(self._fetch, file)

    def _begin_more(self) -> None:
        while len(self._fetched) < self._limit and not self._stop.is_set():
            file = next(self._waiting, None)
            if file is None:
                return
            if self._uses[file.url]:
                self._begin(file)

    def _release(self, file: Job) -> None:
        self._uses[file.url] -= 1
        if not self._uses[file.url]:
            future = self._fetched.pop(file.url)
            if not future.cancel() and future.exception() is None and self._scratch is not None:
                self._scratch.remove(future.result())

    def _fetch(self, file: Job) -> Path:
        assert self._scratch is not None
        state = state_of(file.url, text_of(file.path))
        if (state.size_bytes, state.version) != (file.size_bytes, file.mtime_ns):
            raise SourceError(f"{text_of(file.path)} has changed since it was looked at; plan or start the run again")
        path = self._scratch.place(file.path)
        try:
            fetch(file.url, file.size_bytes, path, file.path, self._stop)
        except BaseException:
            self._scratch.remove(path)
            raise
        return path

    def stop(self) -> None:
        """Fetch no more; what is being fetched ends with its present block."""
        self._stop.set()

    def close(self) -> None:
        """Stop, and delete what is there."""
        self.stop()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        if self._scratch is not None:
            self._scratch.close()

    def __enter__(self) -> Staging:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
