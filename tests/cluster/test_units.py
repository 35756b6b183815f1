"""Bundles: every recording once, about the same work, the longest first."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from birdwatch.batch.jobs import Job
from birdwatch.cluster.units import OPENING_S, TIMES_REAL_TIME, UNIT_S, work_of
from birdwatch.cluster.units import bundles as bundles_of
from birdwatch.cluster.worker import shard


def job(number: int, seconds: float) -> Job:
    return Job(str(number), Path(f"/{number}.wav"), None, 0, 0, seconds)


def bundles(jobs: list[Job]) -> list[list[int]]:
    return [list(unit) for unit in bundles_of(map(work_of, jobs))]


@given(st.lists(st.floats(0, 2e5), max_size=60))
def test_every_recording_is_in_one_bundle_none_of_which_is_too_large(seconds: list[float]) -> None:
    jobs = [job(number, value) for number, value in enumerate(seconds)]
    found = bundles(jobs)
    assert sorted(number for unit in found for number in unit) == list(range(len(jobs)))
    work = [sum(OPENING_S + jobs[n].duration_s / TIMES_REAL_TIME for n in unit) for unit in found]
    assert all(value <= UNIT_S + 1e-6 or len(unit) == 1 for value, unit in zip(work, found, strict=True))
    assert work == sorted(work, reverse=True)
    # Neighbours stay together.
    assert all(unit == list(range(unit[0], unit[0] + len(unit))) for unit in found)


@given(st.integers(0, 40), st.integers(1, 9))
def test_shards_share_out_all_units_counted_from_0_or_from_1(units: int, count: int) -> None:
    all_units = [(number,) for number in range(units)]
    for first in (0, 1):
        shares = [shard(all_units, index, count) for index in range(first, first + count)]
        assert sorted(unit for share in shares for unit in share) == all_units
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_small_run_is_handed_out_in_small_bundles() -> None:
    # Fifteen hours in sections of one hour: two minutes of work each would be two bundles.
    found = bundles([job(number, 3600) for number in range(15)])
    assert sorted(found) == [[number] for number in range(15)]
    # An archive is not: a bundle of the full size holds almost ten hours.
    found = bundles([job(number, 3600) for number in range(10000)])
    assert max(map(len, found)) == 9
