"""The memory that planning takes: names in folders that exist only here are found, become jobs, and are written.

    python -m benchmarks.plan_memory --recordings 1000000

Looking at each recording is left out: its facts are made up, and it keeps nothing. Prints the peak after each step.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem, register_implementation

from birdwatch.batch.inputs import find_inputs
from birdwatch.batch.job_list import JobList
from birdwatch.batch.jobs import Job
from birdwatch.batch.named_inputs import Input
from birdwatch.batch.request import RunRequest
from birdwatch.cluster.plan import read_plan, write_plan
from birdwatch.cluster.sections import Cutting
from birdwatch.cluster.worker import shard

IN_A_FOLDER = 1000


class Season(AbstractFileSystem):  # type: ignore[misc]
    """`season://N/`: N names, in folders of a thousand."""

    protocol = "season"

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": path, "type": "directory", "size": 0}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[dict[str, Any]]:
        path = path.strip("/")
        if "/" not in path:
            folders = -(-int(path) // IN_A_FOLDER)
            return [{"name": f"{path}/SITE{n:05d}", "type": "directory", "size": 0} for n in range(folders)]
        first = int(path.rpartition("SITE")[2]) * IN_A_FOLDER
        numbers = range(first, min(first + IN_A_FOLDER, int(path.partition("/")[0])))
        return [{"name": f"{path}/AM_20250101_{n:09d}.flac", "type": "file", "size": 1 << 24} for n in numbers]


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def job_of(item: Input) -> Job:
    return Job(item.name, item.path, None, 1 << 24, hash(item.url) >> 8, 60.0, 1_735_689_600_000_000_000, url=item.url)


def steps(recordings: int, folder: Path) -> Iterator[str]:
    yield "start"
    inputs = find_inputs([f"season://{recordings}/"])
    yield "names"
    with JobList(job_of(item) for item in inputs) as jobs:
        yield "jobs"
        write_plan(folder, RunRequest(recordings=()), {}, jobs, Cutting(32000, 3600 * 32000))
        yield "plan written"
    plan = read_plan(folder)
    assert all(plan.parts[number].name for unit in shard(plan.units, 1, 100) for number in unit)
    yield "1/100 read"
    assert sum(1 for _ in plan.jobs) == recordings
    yield "all read"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=int, default=1_000_000)
    recordings = parser.parse_args().recordings
    register_implementation("season", Season, clobber=True)
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        for step in steps(recordings, Path(folder)):
            print(f"{step:14}{peak_mb():8.0f} MB{time.process_time() - began:8.1f} s of processor time", flush=True)


if __name__ == "__main__":
    main()
