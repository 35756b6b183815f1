"""What a run is said to cost: the measured share of one recording, applied to all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from birdwatch.batch.estimate import SAMPLE_S, estimate
from birdwatch.batch.inputs import find_inputs
from birdwatch.batch.jobs import Job, look_at
from birdwatch.batch.prepared import Prepared, prepare
from birdwatch.batch.request import RunRequest
from birdwatch.cli.main import birdwatch
from birdwatch.config.schema import Settings


@pytest.fixture
def plan(tiny_model: Path) -> Prepared:
    return prepare(RunRequest(recordings=(), settings=Settings(model=tiny_model)), notice=print)


def season(folder: Path, lengths_s: dict[str, float]) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(1)
    for name, length_s in lengths_s.items():
        soundfile.write(folder / name, rng.normal(0, 0.1, round(16000 * length_s)), 16000)
    return folder


def jobs_of(place: str) -> list[Job]:
    return [job for found in look_at(find_inputs([place])) for job in found]


def ticks(seconds: float) -> Iterator[float]:
    yield 100.0
    yield 100.0 + seconds


def test_the_sample_is_the_smallest_that_is_long_enough(tmp_path: Path, plan: Prepared) -> None:
    lengths = {"a.wav": 2 * SAMPLE_S, "b.wav": SAMPLE_S + 5, "c.wav": 4.0}
    jobs = jobs_of(str(season(tmp_path / "s", lengths)))
    jobs.append(replace(jobs[0], name="d", fault="is empty"))
    clock = ticks(0.5)
    found = estimate(jobs, plan, clock=lambda: next(clock))
    assert found is not None
    assert found.sample.name == "b"
    # Half a second of a core for the first minute, up to a block's length.
    assert found.times == pytest.approx(SAMPLE_S / 0.5, rel=0.1)
    assert found.audio_s == pytest.approx(sum(lengths.values()))
    assert found.size_bytes == sum(path.stat().st_size for path in (tmp_path / "s").iterdir())
    assert found.core_s == pytest.approx(sum(lengths.values()) / found.times)
    assert found.bytes_per_s(10) == pytest.approx(10 * found.size_bytes / found.core_s)


def test_short_recordings_and_none(tmp_path: Path, plan: Prepared) -> None:
    jobs = jobs_of(str(season(tmp_path / "s", {"a.wav": 3.0, "b.wav": 8.0})))
    clock = ticks(0.25)
    found = estimate(jobs, plan, clock=lambda: next(clock))
    assert found is not None
    assert found.sample.name == "b"
    assert found.times == pytest.approx(8.0 / 0.25, rel=0.01)
    assert estimate([replace(job, fault="is empty") for job in jobs], plan) is None
    assert estimate([replace(job, duration_s=0.0) for job in jobs], plan) is None


def test_a_recording_from_elsewhere_is_fetched(tmp_path: Path, plan: Prepared) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/season/a.wav", (season(tmp_path / "s", {"a.wav": 8.0}) / "a.wav").read_bytes())
    found = estimate(jobs_of("memory://season"), plan)
    memory.rm_file("/season/a.wav")
    assert found is not None
    assert found.times > 1


def test_what_dry_run_says(tmp_path: Path, tiny_model: Path) -> None:
    folder = season(tmp_path / "s", {"a.wav": 8.0})
    line = ["run", str(folder), "--dry-run", "--engine", "dask", "--workers", "200"]
    done = CliRunner().invoke(birdwatch, [*line, "--model", str(tiny_model)])
    assert done.exit_code == 0, done.output
    assert "core-hours" in done.stderr
    assert "measured on a; 200 workers of one core" in done.stderr
    (tmp_path / "bad.onnx").write_text("no model")
    done = CliRunner().invoke(birdwatch, [*line, "--model", str(tmp_path / "bad.onnx")])
    assert done.exit_code == 0, done.output
    assert "no estimate of the cost: " in done.stderr
