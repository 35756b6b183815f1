"""The memory and time that writing a dataset, and `birdwatch report` over it, take as detections grow a hundredfold.

    python benchmarks/dataset.py FOLDER             # 1, 5, 20 and 100 million detections; some minutes and 2 GB of disk
    python benchmarks/dataset.py FOLDER --table     # 1 and 5 million in one .parquet beside it, which is read whole

Invented detections go the way of real ones, through `write_output`: 40 sites, each with 48 recordings of ten minutes a
day of 500 detections, of the built-in model's species. More detections are more days. Each step is a process of its
own, whose peak of resident memory the system tells.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from birdwatch.batch.local_runner import Outcome
from birdwatch.batch.results import describe_run
from birdwatch.model.builtin import built_in_model
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.tables.formats import Output, write_output
from birdwatch.tables.result import DETECTIONS, Result, Rows, Vocabulary

MILLIONS = (1, 5, 20, 100)
SITES, A_DAY, ROWS, LENGTH_S = 40, 48, 500, 600
START_NS = 1714521600 * 10**9  # 2024-05-01T00:00:00Z


def results(count: int, rate_hz: int, labels: int) -> list[Result]:
    """So many recordings, by site and time; the rows of each are made when they are read."""
    days = -(-count // (SITES * A_DAY))
    return [
        made(number, f"site{number // (days * A_DAY):02d}", number % (days * A_DAY), rate_hz, labels)
        for number in range(count)
    ]


def made(number: int, site: str, place: int, rate_hz: int, labels: int) -> Result:
    name = f"{site}/{place:06d}"

    def rows(kind: Rows) -> Iterator[Any]:
        rng = np.random.default_rng(number)
        found = np.zeros(ROWS, DETECTIONS)
        found["start_frame"] = np.sort(rng.integers(0, LENGTH_S * 2 // 5, ROWS)) * (rate_hz * 5 // 2)
        found["end_frame"] = found["start_frame"] + 5 * rate_hz
        # A dozen species in a recording, a few of them most of the time, as in a morning.
        found["label"] = rng.integers(0, labels, 12)[np.minimum(rng.geometric(0.25, ROWS), 12) - 1]
        found["score"] = rng.uniform(0.5, 1.0, ROWS)
        yield found

    start_ns = START_NS + place * (86400 // A_DAY) * 10**9
    path, frames = Path("season") / f"{name}.flac", LENGTH_S * rate_hz
    return Result(name, path, None, start_ns, frames, 0, 0, "", np.zeros(1, bool), rows, lambda: iter(()))


def write(millions: int, folder: Path, *, table: bool) -> None:
    manifest = OnnxClassifier(built_in_model(), provider="cpu").manifest
    found = results(millions * 1_000_000 // ROWS, manifest.rate_hz, len(manifest.labels))
    words = Vocabulary(manifest, np.full(len(manifest.labels), 0.5, np.float32))
    failed: list[Outcome] = []
    output = Output(folder / (f"d{millions}.parquet" if table else f"d{millions}"), "parquet", folder=not table)
    write_output(output, found, words, run=describe_run(found, failed, words, {"model": manifest.name}))


def measured(command: list[str]) -> tuple[float, float, float]:
    """Seconds, seconds of processor time, and MB of resident memory at most, of a process."""
    began = perf_counter()
    child = subprocess.Popen(command)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{command} failed")
    return perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--table", action="store_true", help="a table in one file instead of a dataset")
    parser.add_argument("--millions", type=int, nargs="+", default=None)
    parser.add_argument("--write", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.write is not None:
        write(given.write, given.folder, table=given.table)
        return
    print("million detections, files, MB on disk; writing: s, s of processor time, MB; report: the same", flush=True)
    for millions in given.millions or (MILLIONS[:2] if given.table else MILLIONS):
        again = [sys.executable, __file__, str(given.folder), "--write", str(millions)]
        wrote = measured([*again, "--table"] if given.table else again)
        name = given.folder / (f"d{millions}.parquet" if given.table else f"d{millions}")
        files = [name] if given.table else list(name.rglob("*.parquet"))
        size = sum(path.stat().st_size for path in files) / 1e6
        reported = measured([sys.executable, "-m", "birdwatch", "report", str(name), "--species", "1000"])
        figures = "  ".join(f"{seconds:7.1f} {cpu:7.1f} {memory:6.0f}" for seconds, cpu, memory in (wrote, reported))
        print(f"{millions:4d} {len(files):6d} {size:8.1f}  {figures}", flush=True)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
