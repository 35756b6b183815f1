"""`plan`, `work` and `merge` as a cluster uses them: real processes, killed, side by side, and one result."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from forked_birdwatch import run_birdwatch

pytestmark = pytest.mark.slow

OUTPUTS = ["--out", "d.parquet", "--out", "d.csv", "--format", "parquet", "--format", "detections"]


@pytest.fixture
def season(tmp_path, song):
    folder = tmp_path / "season"
    folder.mkdir()
    for number in range(8):
        samples = np.roll(song, 32000 * number)[: 32000 * (4 + number)]
        soundfile.write(folder / f"AM_202405{number + 10}_043000.wav", samples, 32000)
    (folder / "broken.wav").write_bytes(b"RIFF")
    return folder


@pytest.fixture
def birdwatch(tmp_path):
    def call(*arguments, folder=tmp_path):
        return run_birdwatch(*arguments, cwd=folder)

    return call


@pytest.fixture
def alone(tmp_path, birdwatch, season, tiny_model):
    """What one machine writes."""
    folder = tmp_path / "alone"
    folder.mkdir()
    done = birdwatch("run", season, *OUTPUTS, "--jobs", "1", "--model", tiny_model, folder=folder)
    assert done.returncode == 3, done.stderr
    return tables(folder)


def tables(folder):
    return {name: (folder / name).read_bytes() for name in ("d.parquet", "d.csv", "d.parquet.errors.csv")}


@pytest.fixture
def plan(birdwatch, season, tiny_model):
    def call():
        return birdwatch("plan", season, *OUTPUTS, "--store", "store", "--model", tiny_model)

    return call


def test_shards_and_a_merge_write_what_one_machine_writes(tmp_path, birdwatch, plan, alone):
    done = plan()
    assert done.returncode == 0, done.stderr
    assert "9 recordings" in done.stderr
    early = birdwatch("merge", "store")
    assert early.returncode == 1
    assert "8 recordings of 9 are not scored yet" in early.stderr
    codes = [birdwatch("work", "store", "--shard", f"{index}/3").returncode for index in (1, 2, 3)]
    assert sorted(codes) == [0, 0, 3]
    again = birdwatch("work", "store")
    assert again.returncode == 3  # the broken one is tried again
    assert "0 recordings scored, 8 were before, 1 failed" in again.stderr
    merged = birdwatch("merge", "store")
    assert merged.returncode == 3, merged.stderr
    assert tables(tmp_path) == alone


def test_a_worker_that_is_told_to_end_leaves_only_commits(tmp_path, birdwatch, plan, alone):
    """As a batch system does before its time limit: what is begun goes, what is committed stays."""
    plan()
    command = [sys.executable, "-m", "birdwatch", "work", "store"]
    worker = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    units = tmp_path / "store" / "units"
    while worker.poll() is None and not list(units.glob("*/*")):
        time.sleep(0.01)
    worker.send_signal(signal.SIGTERM)
    _, said = worker.communicate(timeout=60)
    # It may have been done already.
    assert worker.returncode in (130, 3)
    assert worker.returncode == 3 or "start it again to continue" in said
    assert "Traceback" not in said
    assert [path.name for path in units.rglob(".*")] == []
    before = {path: path.stat().st_mtime_ns for path in units.glob("*/*") if path.suffix != ".fault"}
    assert birdwatch("work", "store").returncode == 3
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert birdwatch("merge", "store").returncode == 3
    assert tables(tmp_path) == alone


def test_workers_side_by_side_and_killed_give_the_same(tmp_path, birdwatch, plan, alone):
    plan()
    command = [sys.executable, "-m", "birdwatch", "work", "store"]
    for delay_s in (0.3, 0.6, 0.9):
        workers = [subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) for _ in range(2)]
        until = time.monotonic() + delay_s
        while time.monotonic() < until and any(worker.poll() is None for worker in workers):
            for worker in workers:
                try:
                    worker.wait(timeout=0.05)
                except subprocess.TimeoutExpired:
                    continue
        for worker in workers:
            worker.kill()
            worker.wait()
    workers = [subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [worker.wait() for worker in workers] == [3, 3]
    assert birdwatch("merge", "store").returncode == 3
    assert tables(tmp_path) == alone


def test_a_partial_merge_lists_what_is_missing(tmp_path, birdwatch, plan):
    plan()
    done = birdwatch("merge", "store", "--partial")
    assert done.returncode == 3
    assert (tmp_path / "d.parquet.errors.csv").read_text().count("not scored yet") == 8


def test_a_term_signal_leaves_a_worker_that_continues(tmp_path, plan):
    plan()
    command = [sys.executable, "-m", "birdwatch", "work", "store"]
    worker = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while worker.poll() is None and time.monotonic() < until and not list((tmp_path / "store").rglob("units/*/*")):
        pass
    worker.send_signal(signal.SIGTERM)
    _, said = worker.communicate(timeout=60)
    assert worker.returncode in (3, 130)  # it may have been done
    assert "start it again to continue" in said or "recordings scored" in said


@pytest.mark.parametrize("share", ["1", "a/b", "3/2", "0/0", "-1/2"])
def test_a_share_that_is_none(birdwatch, share):
    done = birdwatch("work", "store", "--shard", share)
    assert done.returncode == 2
    assert "expected I/N" in done.stderr


def test_no_plan_is_one_line(birdwatch):
    for command in ("work", "merge"):
        done = birdwatch(command, "nowhere")
        assert done.returncode == 1
        assert "holds no plan" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_a_worker_with_another_model_is_refused(tmp_path, birdwatch, plan, tiny_model):
    plan()
    text = (tmp_path / "store" / "plan.json").read_text()
    import json

    sha = json.loads(text)["parameters"]["model_sha256"]
    (tmp_path / "store" / "plan.json").write_text(text.replace(sha, "0" * 64))
    done = birdwatch("work", "store")
    assert done.returncode == 1
    assert "would give other results: model_sha256 is" in done.stderr


def test_an_interrupted_merge_is_continued_and_leaves_no_database(tmp_path, birdwatch, plan, season, alone):
    (season / "broken.wav").unlink()
    assert plan().returncode == 0
    assert birdwatch("work", "store").returncode == 0
    command = [sys.executable, "-m", "birdwatch", "merge", "store"]
    first = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while first.poll() is None and time.monotonic() < until and not (tmp_path / "d.parquet.journal").exists():
        pass
    first.kill()
    first.wait()
    for _ in range(2):
        done = birdwatch("merge", "store")
        assert done.returncode == 0, done.stderr
        assert not (tmp_path / "d.parquet.journal").exists()
        assert (tmp_path / "d.csv").read_bytes() == alone["d.csv"]
