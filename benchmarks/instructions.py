"""Instructions of each stage and of starting, counted by valgrind: they repeat where seconds do not.

    python benchmarks/instructions.py --json > out/instructions.json       # about three minutes
    python benchmarks/compare.py benchmarks/results/instructions.json out/instructions.json --limit 1.1

Every x86-64 machine with AVX2 is the same processor to a program under valgrind, so that figures of two machines can
be compared; other versions of Python and the libraries count differently, and the comparison names them. Caches and
memory are not seen: a change that is fast for their sake has to be timed. Needs valgrind.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from stage_work import SECONDS, STAGES  # type: ignore[import-not-found]  # beside this script, not a package

from birdwatch.bench.recording import write_recordings
from birdwatch.bench.report import Measure, Report
from birdwatch.process import cores

SCRIPT = Path(__file__).with_name("stage_work.py")
LIBRARIES = ("numpy", "scipy", "av", "soundfile", "soxr", "onnxruntime-gpu")
# Nothing may depend on chance or on how many cores there are.
ENVIRONMENT = {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
TIMES = 1
STARTS = {
    "birdwatch --help": ["-m", "birdwatch", "--help"],
    "import birdwatch.cli.run": ["-c", "import birdwatch.cli.run"],
}


def counted(arguments: list[str]) -> int:
    """Instructions of this Python with `arguments`. Raises ClickException where valgrind or the program fails."""
    # Without a simulated cache or calls cachegrind counts the same instructions in half of callgrind's time.
    tool = ["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    command = ["valgrind", *tool, sys.executable, *arguments]
    ran = subprocess.run(command, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True)
    found = re.search(r"I\s+refs:\s+([\d,]+)", ran.stderr)
    if ran.returncode or found is None:
        raise click.ClickException(f"{' '.join(command)} failed: {ran.stderr.strip()[-500:]}")
    return int(found[1].replace(",", ""))


def stage(name: str, windows: int, folder: Path) -> Measure:
    """What one more time of a stage costs: start, inputs and a first time are in both counts."""
    few, many = (counted([str(SCRIPT), name, str(times), str(folder)]) for times in (1, 1 + TIMES))
    return Measure(f"stage.{name}", (many - few) / TIMES / windows / 1e6, "M instructions per window", "lower")


def start(name: str, arguments: list[str]) -> Measure:
    """What a start costs, Python's own included."""
    return Measure(f"start.{name}", counted(arguments) / 1e6, "M instructions", "lower")


@click.command()
@click.option("--only", multiple=True, help="Only this stage or start; may be repeated.")
@click.option("--json", "as_json", is_flag=True)
def main(only: tuple[str, ...], as_json: bool) -> None:
    """Count the instructions of each stage for a window, and of starting."""
    if shutil.which("valgrind") is None:
        raise click.ClickException("valgrind is missing; apt-get install valgrind")
    with TemporaryDirectory() as name, ThreadPoolExecutor(cores()) as pool:
        folder = Path(name)
        write_recordings(folder, SECONDS)
        stages = {key: windows for key, (_, windows) in STAGES.items() if not only or key in only}
        starts = {key: arguments for key, arguments in STARTS.items() if not only or key in only}
        counts = [pool.submit(stage, key, windows, folder) for key, windows in stages.items()]
        counts += [pool.submit(start, key, arguments) for key, arguments in starts.items()]
        measures = tuple(count.result() for count in counts)
    installed = {dist.metadata["Name"]: dist.version for dist in metadata.distributions()}
    versions = ", ".join(f"{name} {installed[name]}" for name in LIBRARIES if name in installed)
    report = Report("instructions", {"valgrind": _valgrind(), "versions": versions}, measures)
    click.echo(report.json() if as_json else report.table())


def _valgrind() -> str:
    ran = subprocess.run(["valgrind", "--version"], capture_output=True, text=True, check=True)
    return ran.stdout.strip().removeprefix("valgrind-")


if __name__ == "__main__":
    main()
