"""Job arrays and Dask workers on a real Slurm, with the bytes of one machine."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import soundfile
from slurm_cluster import SlurmCluster

pytestmark = pytest.mark.slow
OUTPUTS = ["--out", "d.csv", "--format", "detections"]
BIRDWATCH = [sys.executable, "-m", "birdwatch"]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    cluster = SlurmCluster(tmp_path_factory.mktemp("slurm"))
    try:
        yield cluster.start()
    finally:
        cluster.stop()


@pytest.fixture
def season(tmp_path, song):
    folder = tmp_path / "season"
    folder.mkdir()
    for number in range(5):
        samples = np.roll(song, 32000 * number)[: 32000 * (4 + number)]
        soundfile.write(folder / f"AM_202405{number + 10}_043000.wav", samples, 32000)
    return folder


@pytest.fixture
def alone(tmp_path, season, tiny_model):
    folder = tmp_path / "alone"
    folder.mkdir()
    line = [*BIRDWATCH, "run", str(season), *OUTPUTS, "--jobs", "1", "--model", str(tiny_model)]
    subprocess.run(line, cwd=folder, check=True, capture_output=True)
    return (folder / "d.csv").read_bytes()


def test_a_job_array(tmp_path, slurm, season, tiny_model, alone):
    line = [*BIRDWATCH, "plan", str(season), *OUTPUTS, "--store", str(tmp_path / "run1"), "--model", str(tiny_model)]
    assert slurm.call(*line, cwd=tmp_path).returncode == 0
    script = " ".join([*BIRDWATCH, "work", str(tmp_path / "run1"), "--shard", "$SLURM_ARRAY_TASK_ID/3"])
    done = slurm.call("sbatch", "--array=1-3", "--wrap", script, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    slurm.wait_for_jobs()
    done = slurm.call(*BIRDWATCH, "merge", str(tmp_path / "run1"), cwd=tmp_path)
    logs = "\n".join(path.read_text() for path in tmp_path.glob("slurm-*.out"))
    assert done.returncode == 0, f"{done.stderr}\n{logs}"
    assert (tmp_path / "d.csv").read_bytes() == alone


def test_workers_that_dask_starts(tmp_path, slurm, season, tiny_model, alone):
    pytest.importorskip("dask_jobqueue", reason="pip install '.[cluster]'")
    (tmp_path / "dask").mkdir()
    (tmp_path / "dask" / "jobqueue.yaml").write_text(
        'jobqueue:\n  slurm:\n    queue: normal\n    walltime: "00:10:00"\n    memory: 900MB\n    cores: 1\n'
    )
    env = {**slurm.env, "DASK_CONFIG": str(tmp_path / "dask")}
    line = [*BIRDWATCH, "run", str(season), *OUTPUTS, "--model", str(tiny_model)]
    line += ["--engine", "dask", "--cluster", "slurm", "--workers", "2", "--store", str(tmp_path / "run2")]
    done = subprocess.run(line, env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "d.csv").read_bytes() == alone
    slurm.wait_for_jobs()
