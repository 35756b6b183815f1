"""Units: bundles of recordings, up to two minutes of work, that a worker gets at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing

from birdwatch.batch.jobs import Job
from birdwatch.batch.temporary_database import temporary_database, with_room

__all__ = ["TIMES_REAL_TIME", "UNIT_S", "bundles", "work_of"]

# Long compared with the overhead of 2 to 4 ms per unit; short enough that a killed worker loses little.
UNIT_S = 120.0
# A small run has smaller units, so that all workers get some.
LEAST_UNITS, LEAST_S = 64, 5.0
# What two threads of one worker make of compressed audio with the built-in model; only the bundles depend on it.
TIMES_REAL_TIME = 300.0
# Opening a recording, in seconds of work.
OPENING_S = 0.02


def work_of(job: Job) -> float:
    """Seconds that a recording or section takes, by estimate."""
    return OPENING_S + job.duration_s / TIMES_REAL_TIME


def bundles(works: Iterable[float], *, unit_s: float = UNIT_S) -> Iterator[range]:
    """Recordings and sections by their numbers, in bundles of up to `unit_s` seconds of work, the longest bundle first.

    works: of each, as `work_of` has it; all are read before the first bundle comes. Those that lie beside each other
    stay together, so that a bundle reads one place of a disk or tape; one that is longer than a bundle is a bundle of
    its own. They are sorted on the disk, since an archive has millions. Raises SinkError where it is full.
    """
    total = 0.0

    def rows() -> Iterator[tuple[float]]:
        nonlocal total
        for work_s in works:
            total += work_s
            yield (work_s,)

    with with_room(), closing(temporary_database()) as db:
        db.execute("CREATE TABLE part (work REAL NOT NULL)")
        db.execute("CREATE TABLE unit (work REAL NOT NULL, first INTEGER NOT NULL, stop INTEGER NOT NULL)")
        db.execute("BEGIN")
        db.executemany("INSERT INTO part VALUES (?)", rows())
        again = (work_s for (work_s,) in db.execute("SELECT work FROM part ORDER BY rowid"))
        limit_s = min(unit_s, max(LEAST_S, total / LEAST_UNITS))
        db.executemany("INSERT INTO unit VALUES (?, ?, ?)", _bundled(again, limit_s))
        for first, stop in db.execute("SELECT first, stop FROM unit ORDER BY work DESC, first"):
            yield range(first, stop)


def _bundled(works: Iterable[float], limit_s: float) -> Iterator[tuple[float, int, int]]:
    """The work of each bundle, its first number, and the number behind its last."""
    sum_s, first, number = 0.0, 0, 0
    for number, work_s in enumerate(works):
        if number > first and sum_s + work_s > limit_s:
            yield sum_s, first, number
            sum_s, first = work_s, number
        else:
            sum_s += work_s
    if sum_s:
        yield sum_s, first, number + 1
