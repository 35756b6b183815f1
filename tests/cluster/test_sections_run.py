"""A long recording in sections, by real processes: the bytes of one machine, also when one is killed in a section."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from web_folder import web_folder

from birdwatch.batch.inputs import find_inputs
from birdwatch.batch.jobs import look_at
from birdwatch.cluster import units
from birdwatch.cluster.plan import read_plan, write_plan
from birdwatch.cluster.sections import Cutting

pytestmark = pytest.mark.slow

OUTPUTS = ("--out", "d.csv", "--format", "detections", "--out", "e.csv", "--format", "kaleidoscope")
# Four sections of 15 s and more.
CUTTING = Cutting(32000, 15 * 32000, (48000,))
# Kills the worker when it has made so many items: in its third section, of which the last one has 25 and others 15.
KILLED = """
import os, signal, sys
import birdwatch.cluster.sections as sections
from birdwatch.cli.main import birdwatch
inner, made = sections.bytes_of, []
def bytes_of(*arguments):
    made.append(1)
    if len(made) > 45:
        os.kill(os.getpid(), signal.SIGKILL)
    return inner(*arguments)
sections.bytes_of = bytes_of
birdwatch(["work", "cut"])
"""
DASK = """
from dataclasses import replace
from pathlib import Path
from birdwatch.batch.progress import terminal_view
from birdwatch.batch.run import run
from birdwatch.cluster import units
from birdwatch.cluster.dask_engine import DaskEngine
from birdwatch.cluster.plan import read_plan

if __name__ == "__main__":
    units.LEAST_S = 0.0
    request = replace(read_plan(Path("store")).request, recordings=(str(Path("season").absolute()),))
    engine = DaskEngine(Path("dask").absolute(), "local", 2, None, print, section_s=15.0)
    run(request, notice=print, view=terminal_view, engine=engine)
"""


def call(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=folder, capture_output=True, text=True, check=False
    )


def tables(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("d.csv", "e.csv")}


@pytest.fixture
def season(tmp_path: Path, song: NDArray[np.float32]) -> Path:
    folder = tmp_path / "season"
    folder.mkdir()
    at = np.arange(0, 13, 1 / 48000)
    long = np.tile(np.interp(at, np.arange(len(song)) / 32000, song), 6)
    long[48000 * 25 : 48000 * 33] = 0
    soundfile.write(folder / "AM_20240510_043000.wav", long[: 48000 * 73], 48000)
    soundfile.write(folder / "AM_20240511_043000.wav", song, 32000)
    return folder


@pytest.fixture
def alone(tmp_path: Path, season: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What one machine writes; beside it, a plan of the same run that is cut into sections."""
    folder = tmp_path / "alone"
    folder.mkdir()
    options = (season, *OUTPUTS, "--model", tiny_model, "--hop", "1", "--threshold", "0.4")
    done = call(folder, "-m", "birdwatch", "run", *options, "--jobs", "1")
    assert done.returncode == 0, done.stderr
    done = call(tmp_path, "-m", "birdwatch", "plan", *options, "--store", "store")
    assert done.returncode == 0, done.stderr
    plan = read_plan(tmp_path / "store")
    # A unit for each section, so that workers share the long recording.
    monkeypatch.setattr(units, "LEAST_S", 0.0)
    cut = write_plan(tmp_path / "cut", plan.request, plan.parameters, plan.jobs, CUTTING)
    assert [part.section is None for part in cut.parts] == [False] * 4 + [True]
    assert len(cut.units) == 5
    found = tables(folder)
    assert found["d.csv"].count(b"\n") > 30
    return found


def commits(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("units/*/*") if not path.name.startswith(".")}


def test_a_worker_killed_in_a_section_costs_that_section(tmp_path: Path, alone: dict[str, bytes]) -> None:
    done = call(tmp_path, "-c", KILLED)
    assert done.returncode == -signal.SIGKILL
    before = commits(tmp_path / "cut")
    assert len(before) == 2
    early = call(tmp_path, "-m", "birdwatch", "merge", "cut")
    assert early.returncode == 1
    assert "are not scored yet" in early.stderr
    shares = [call(tmp_path, "-m", "birdwatch", "work", "cut", "--shard", f"{index}/2") for index in (0, 1)]
    assert [done.returncode for done in shares] == [0, 0]
    # Of five units, the first share has three; the first two units were done.
    assert "2 recordings and sections scored, 1 was before" in shares[0].stderr
    assert "1 recording or section scored, 1 was before" in shares[1].stderr
    assert commits(tmp_path / "cut") > before
    assert len(commits(tmp_path / "cut")) == 5
    done = call(tmp_path, "-m", "birdwatch", "merge", "cut")
    assert done.returncode == 0, done.stderr
    assert tables(tmp_path) == alone


def test_sections_of_a_recording_from_elsewhere(tmp_path: Path, season: Path, alone: dict[str, bytes]) -> None:
    """Two workers of one core each, the recording fetched by both over HTTP, and cut into the same sections."""
    plan = read_plan(tmp_path / "store")
    files = {path.name: path.read_bytes() for path in season.iterdir()}
    with web_folder({f"s/{name}": data for name, data in files.items()}) as web:
        jobs = [job for found in look_at(find_inputs([web.url + "/s/"])) for job in found]
        assert [job.name for job in jobs] == [job.name for job in plan.jobs]
        cut = write_plan(tmp_path / "remote", plan.request, plan.parameters, jobs, CUTTING)
        assert [part.section is None for part in cut.parts] == [False] * 4 + [True]
        for index in (0, 1):
            done = call(tmp_path, "-m", "birdwatch", "work", "remote", "--shard", f"{index}/2")
            assert done.returncode == 0, done.stderr
        assert web.asked["s/AM_20240510_043000.wav"] >= 3
    assert len(commits(tmp_path / "remote")) == 5
    done = call(tmp_path, "-m", "birdwatch", "merge", "remote")
    assert done.returncode == 0, done.stderr
    found = tables(tmp_path)
    for name in found:
        # The first two columns say where the recording is.
        rest = [[row.split(b",", 2)[2] for row in table[name].splitlines()] for table in (found, alone)]
        assert rest[0] == rest[1]


def test_dask_workers_score_the_sections_of_one_recording(tmp_path: Path, alone: dict[str, bytes]) -> None:
    pytest.importorskip("distributed", reason="pip install '.[cluster]'")
    (tmp_path / "driver.py").write_text(DASK)
    done = call(tmp_path, "driver.py")
    assert done.returncode == 0, done.stderr
    assert len(commits(tmp_path / "dask")) == 5
    assert tables(tmp_path) == alone
