"""The Dask engine with real workers: the bytes of one machine, also when workers are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("distributed", reason="pip install '.[cluster]'")

OUTPUTS = ["--out", "d.csv", "--format", "detections"]
pytestmark = pytest.mark.slow


@pytest.fixture
def season(tmp_path, song):
    folder = tmp_path / "season"
    folder.mkdir()
    for number in range(6):
        samples = np.tile(np.roll(song, 32000 * number), 3)[: 32000 * (20 + number)]
        soundfile.write(folder / f"AM_202405{number + 10}_043000.wav", samples, 32000)
    (folder / "broken.wav").write_bytes(b"RIFF")
    return folder


def command(model, season, *more):
    return [sys.executable, "-m", "birdwatch", "run", str(season), *OUTPUTS, "--model", str(model), *more]


@pytest.fixture
def alone(tmp_path, season, tiny_model):
    folder = tmp_path / "alone"
    folder.mkdir()
    done = subprocess.run(
        command(tiny_model, season, "--jobs", "1"), cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3, done.stderr
    return tables(folder)


def tables(folder):
    return {name: (folder / name).read_bytes() for name in ("d.csv", "d.csv.errors.csv")}


def test_two_workers_write_what_one_machine_writes(tmp_path, season, tiny_model, alone):
    done = subprocess.run(
        command(tiny_model, season, "--engine", "dask", "--workers", "2"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert "Dask's dashboard" in done.stderr
    assert tables(tmp_path) == alone
    # What was scored is kept: the same run again scores nothing.
    units = {
        path: path.stat().st_mtime_ns for path in (tmp_path / "d.csv.store" / "units").rglob("*") if path.is_file()
    }
    again = subprocess.run(
        command(tiny_model, season, "--engine", "dask", "--workers", "1"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 3
    assert tables(tmp_path) == alone
    kept = {path: mtime for path, mtime in units.items() if path.suffix != ".fault"}
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(entry.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the workers in /proc")
def test_a_driver_killed_with_its_workers_is_resumed(tmp_path, season, tiny_model, alone):
    more = ("--engine", "dask", "--workers", "2", "--resume")
    driver = subprocess.Popen(command(tiny_model, season, *more), cwd=tmp_path, stderr=subprocess.DEVNULL)
    started = threading.Event()
    while driver.poll() is None and not started.wait(0.05):
        if list(tmp_path.glob("d.csv.store/units/*/*")):
            started.set()
    for pid in [*children(driver.pid), driver.pid]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    driver.wait()
    done = subprocess.run(command(tiny_model, season, *more), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert tables(tmp_path) == alone


def test_a_run_that_is_resumed_with_another_min_score(tmp_path, season, tiny_model):
    """With a higher one it is as if asked for at first; rows below what was kept are refused, not left out."""
    (season / "broken.wav").unlink()
    (tmp_path / "alone").mkdir()
    tables_of = []
    for score, code in (("0.3", 0), ("0.6", 0), ("0.1", 1)):
        line = command(tiny_model, season, "--min-score", score, "--resume", "--engine", "dask", "--workers", "1")
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        tables_of.append((tmp_path / "d.csv").read_bytes())
        if code == 0:
            subprocess.run(command(tiny_model, season, "--min-score", score), cwd=tmp_path / "alone", check=True)
            assert (tmp_path / "alone" / "d.csv").read_bytes() == tables_of[-1]
    assert "keeps rows from 0.3 on" in done.stderr
    assert tables_of[0] != tables_of[1] == tables_of[2]


def test_options_that_do_not_go_together(tmp_path, season, tiny_model):
    done = subprocess.run(
        command(tiny_model, season, "--store", "x"), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "--scheduler and --store are for --engine dask" in done.stderr
