"""Bundles of recordings that are worth up to two minutes of work: what is handed to a worker at once. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from birdwatch.batch.jobs import Job

__all__ = ["TIMES_REAL_TIME", "UNIT_S", "bundles"]

# Long enough that handing over, 2 to 4 ms a unit, is nothing beside it; short enough that a killed worker loses little.
UNIT_S = 120.0
# A small run is handed out in smaller units, so that all its workers have some.
LEAST_UNITS, LEAST_S = 64, 5.0
# What two threads of one worker make of compressed audio with the built-in model; only the bundles depend on it.
TIMES_REAL_TIME = 300.0
# Opening a recording, in seconds of work.
OPENING_S = 0.02


def bundles(jobs: Sequence[Job], *, unit_s: float = UNIT_S) -> list[list[int]]:
    """The numbers of `jobs` in bundles of up to `unit_s` seconds of estimated work, the longest bundle first.

    Recordings and sections that lie beside each other stay together, so that a bundle reads one place of a disk or
    tape; one that is longer than a bundle is a bundle of its own.
    """
    found: list[list[int]] = []
    sums: list[float] = []
    works = [OPENING_S + job.duration_s / TIMES_REAL_TIME for job in jobs]
    unit_s = min(unit_s, max(LEAST_S, sum(works) / LEAST_UNITS))
    for number, work_s in enumerate(works):
        if found and sums[-1] + work_s <= unit_s:
            found[-1].append(number)
            sums[-1] += work_s
        else:
            found.append([number])
            sums.append(work_s)
    order = sorted(range(len(found)), key=lambda unit: (-sums[unit], unit))
    return [found[unit] for unit in order]
