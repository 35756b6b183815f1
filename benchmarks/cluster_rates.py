"""Measures what a run over many machines costs beside the scoring: scheduler, driver, the whole beside plain processes.

usage: python -m benchmarks.cluster_rates [--units 2000] [--recordings 2000] [--hours 20]

Prints processor time of the scheduler and of the driver per unit (units that do nothing, two workers, the engine's own
window), of folding a committed recording of an hour into the run database, and, unless --hours is 0, the processor time
and the wall time of `run --engine dask --workers 2` beside two `birdwatch work` processes over the same recordings.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from birdwatch.batch.run_database import RunDatabase
from birdwatch.cluster import dask_engine
from birdwatch.cluster.commits import CommitStore
from birdwatch.cluster.folding import fold
from birdwatch.cluster.plan import Plan, read_plan

BIRDWATCH = [sys.executable, "-m", "birdwatch"]
RATE = 32000


def done_at_once(store: str, numbers: Sequence[int]) -> list[str]:
    """A unit that costs a worker nothing."""
    return []


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """A scheduler and two workers as processes of their own; the scheduler's address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
    host, _, port = address.removeprefix("tcp://").partition(":")
    commands = [["dask_scheduler", "--host", host, "--port", port]]
    commands += [["dask_worker", address, "--nthreads", "1", "--no-nanny"]] * 2
    lines = [[sys.executable, "-m", f"distributed.cli.{name}", *more, "--no-dashboard"] for name, *more in commands]
    with (folder / "dask.log").open("wb") as log:
        processes = [subprocess.Popen(line, cwd=Path.cwd(), stdout=log, stderr=log) for line in lines]
    try:
        yield address
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait()


def handing_over(folder: Path, plan: Plan, units: int) -> None:
    from distributed import Client

    dask_engine.score_unit = done_at_once
    with cluster(folder) as address, Client(address) as client:
        client.wait_for_workers(2)
        times = []
        for count in (50, units):  # first to warm it up
            before = time.process_time(), client.run_on_scheduler(time.process_time), time.perf_counter()
            todo = [(number,) for number in range(count)]
            for _ in dask_engine.results(client, plan, todo, window=4, show=lambda: None):
                pass
            after = time.process_time(), client.run_on_scheduler(time.process_time), time.perf_counter()
            times = [(late - early) / count * 1000 for early, late in zip(before, after, strict=True)]
    driver, scheduler, wall = times
    print(f"a unit: {scheduler:.2f} ms of the scheduler, {driver:.2f} ms of the driver; {wall:.2f} ms in all")


def folding(folder: Path, plan: Plan, recordings: int) -> None:
    store = CommitStore(plan.store, plan.parameters)
    (job,) = plan.jobs
    commit = store.path_of(job)
    jobs = [replace(job, name=f"{job.name}-{number}") for number in range(recordings)]
    copies = CommitStore(folder / "copies", plan.parameters)
    for copied in jobs:
        copies.path_of(copied).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(commit, copies.path_of(copied))
    database = RunDatabase(folder / "run.db", plan.parameters, resume=False)
    before = time.process_time()
    for copied in jobs:
        found = copies.read(copied)
        assert found is not None
        fold(copied, found, database)
    spent = time.process_time() - before
    size = commit.stat().st_size / 1000
    print(f"a recording of an hour: {spent / recordings * 1000:.2f} ms of the driver to fold ({size:.0f} kB each)")


def noise(folder: Path, files: int, minutes: float) -> None:
    folder.mkdir()
    rng = np.random.default_rng(1)
    samples = (rng.standard_normal(int(RATE * 60 * minutes)) * 0.05).astype(np.float32)
    for number in range(files):
        soundfile.write(folder / f"AM_20240510_{number:04d}00.flac", np.roll(samples, RATE * number), RATE)


def timed(lines: Sequence[Sequence[str]], folder: Path) -> tuple[float, float]:
    """Wall and processor seconds of processes side by side."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    running = [subprocess.Popen(line, cwd=folder, stderr=subprocess.DEVNULL) for line in lines]
    assert [process.wait() for process in running] == [0] * len(lines)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, spent


def whole(folder: Path, hours: float) -> None:
    noise(folder / "season", int(hours * 4), 15)
    outputs = [str(folder / "season"), "--out", "d.csv", "--format", "detections", "--jobs", "1", "--store"]
    subprocess.run([*BIRDWATCH, "plan", *outputs, "plain"], cwd=folder, check=True, stderr=subprocess.DEVNULL)
    plain = timed([[*BIRDWATCH, "work", "plain", "--shard", f"{share}/2"] for share in (1, 2)], folder)
    dask = timed([[*BIRDWATCH, "run", *outputs, "dask", "--engine", "dask", "--workers", "2"]], folder)
    for name, (wall, spent) in (("two `birdwatch work`", plain), ("--engine dask --workers 2", dask)):
        print(f"{name}: {wall:.1f} s, {spent:.1f} s of processor time")
    wall, spent = plain[0] / dask[0], plain[1] / dask[1]
    print(f"efficiency beside plain processes: {wall:.3f} by wall time, {spent:.3f} by processor time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=2000)
    parser.add_argument("--recordings", type=int, default=2000)
    parser.add_argument("--hours", type=float, default=20.0)
    options = parser.parse_args()
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        noise(folder / "hour", 1, 60)
        line = [*BIRDWATCH, "plan", "hour", "--out", "hour.csv", "--format", "detections", "--store", "one"]
        subprocess.run(line, cwd=folder, check=True, stderr=subprocess.DEVNULL)
        subprocess.run([*BIRDWATCH, "work", "one"], cwd=folder, check=True, stderr=subprocess.DEVNULL)
        plan = read_plan(folder / "one")
        handing_over(folder, plan, options.units)
        folding(folder, plan, options.recordings)
        if options.hours:
            whole(folder, options.hours)


if __name__ == "__main__":
    main()
