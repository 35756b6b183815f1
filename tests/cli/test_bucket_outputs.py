"""Tables and stores in a bucket hold what files hold, whoever writes them and whatever dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from buckets import KEY_ID, SECRET, bucket_server
from forked_birdwatch import run_birdwatch

pytestmark = pytest.mark.slow

OUT = ("d.parquet", "d.csv", "set/")
FORMATS = ("--format", "parquet", "--format", "detections", "--format", "parquet")
COMMAND = [sys.executable, "-m", "birdwatch"]
DEADLINE_S = 120.0


@pytest.fixture(scope="module")
def season(tmp_path_factory, song):
    folder = tmp_path_factory.mktemp("season")
    for number in range(5):
        path = folder / f"SITE{number % 2}" / f"AM_202405{number + 10}_043000.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, np.roll(song, 32000 * number)[: 32000 * (4 + number)], 32000)
    (folder / "broken.wav").write_bytes(b"RIFF")
    return folder


@pytest.fixture(scope="module")
def bucket(season):
    with bucket_server() as bucket:
        bucket.fill(season, "2025/")
        yield bucket


@pytest.fixture
def env(bucket, tmp_path):
    (tmp_path / "scratch").mkdir()
    return {**bucket.env, "XDG_STATE_HOME": str(tmp_path / "state"), "TMPDIR": str(tmp_path / "scratch")}


def birdwatch(env, folder: Path, *arguments):
    done = run_birdwatch(*arguments, cwd=folder, env=env)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def outs(prefix: str) -> list[str]:
    return [word for name in OUT for word in ("--out", prefix + name)] + list(FORMATS)


def in_folder(folder: Path) -> dict[str, bytes]:
    found = [path for name in ("d.parquet", "d.csv", "d.parquet.errors.csv") for path in [folder / name]]
    found += [*(folder / "set").rglob("*.parquet"), folder / "set.recordings.parquet"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def in_bucket(bucket, prefix: str) -> dict[str, bytes]:
    return {key.removeprefix(prefix): bucket.get(key) for key in bucket.keys(prefix)}


@pytest.fixture(scope="module")
def alone(tmp_path_factory, bucket, season, tiny_model):
    """What one machine writes of the files, run in their folder."""
    out = tmp_path_factory.mktemp("alone")
    done = birdwatch(bucket.env, season, "run", ".", *outs(f"{out}/"), "--jobs", "1", "--model", tiny_model)
    assert done.returncode == 3, done.stderr
    return in_folder(out)


def test_tables_in_a_bucket_are_those_of_files(tmp_path, bucket, env, alone, tiny_model):
    bucket.put("out/set/site=OLD/date=2020-01-01/part-0.parquet", b"an older dataset's")
    bucket.put("out/set.recordings.parquet", b"its list")
    bucket.put("out/d.parquet.filtered.csv", b"of an older run")
    done = birdwatch(env, tmp_path, "run", "s3://aru/2025/", *outs("s3://aru/out/"), "--model", tiny_model)
    assert done.returncode == 3, done.stderr
    assert in_bucket(bucket, "out/") == alone
    assert "see s3://aru/out/d.parquet.errors.csv" in done.stderr
    left = [path for name in ("state", "scratch") for path in (tmp_path / name).rglob("*") if path.is_file()]
    # An errors.csv says that some failed: the run database stays for --resume, and nothing else.
    assert {path.name for path in left} == {"d.parquet.journal", ".birdwatch-written"}
    text = done.stdout + done.stderr + "".join(path.read_bytes().decode("latin-1") for path in left)
    assert KEY_ID not in text
    assert SECRET not in text


def test_a_plan_its_store_and_its_tables_in_a_bucket(tmp_path, bucket, env, alone, tiny_model):
    store, out = "s3://aru/shards/store", outs("s3://aru/shards/out/")
    done = birdwatch(env, tmp_path, "plan", "s3://aru/2025/", *out, "--store", store, "--model", tiny_model)
    assert done.returncode == 0, done.stderr
    assert birdwatch(env, tmp_path, "merge", store).returncode == 1
    for share in ("1/2", "2/2", "1/2"):
        done = birdwatch(env, tmp_path, "work", store, "--shard", share)
        assert done.returncode in (0, 3), done.stderr
    assert "0 recordings scored" in done.stderr
    # The machine that merges is another one than the one that planned.
    done = birdwatch({**env, "XDG_STATE_HOME": str(tmp_path / "elsewhere")}, tmp_path, "merge", store)
    assert done.returncode == 3, done.stderr
    assert in_bucket(bucket, "shards/out/") == alone
    kept = in_bucket(bucket, "shards/store/")
    assert sum(key.startswith("units/") and not key.endswith(".fault") for key in kept) == 5
    assert json.loads(kept["plan.json"])["recordings"] == 6
    for word in (KEY_ID, SECRET, str(tmp_path)):
        assert word.encode() not in b"".join(kept.values())
    assert list((tmp_path / "scratch").iterdir()) == []


def test_dask_workers_that_share_a_bucket(tmp_path, bucket, env, alone, tiny_model):
    pytest.importorskip("distributed", reason="pip install '.[cluster]'")
    more = ("--engine", "dask", "--workers", "2", "--model", tiny_model)
    done = birdwatch(env, tmp_path, "run", "s3://aru/2025/", *outs("s3://aru/dask/"), *more)
    assert done.returncode == 3, done.stderr
    assert {key: data for key, data in in_bucket(bucket, "dask/").items() if ".store/" not in key} == alone
    assert any(key.startswith("dask/d.parquet.store/units/") for key in bucket.keys("dask/"))


def test_a_worker_that_is_killed_loses_what_it_had_not_committed(tmp_path, bucket, env, alone, tiny_model):
    store, out = "s3://aru/killed/store", outs("s3://aru/killed/out/")
    plan = ("plan", "s3://aru/2025/", *out, "--store", store, "--model", tiny_model, "--jobs", "1")
    assert birdwatch(env, tmp_path, *plan).returncode == 0
    worker = subprocess.Popen([*COMMAND, "work", store], cwd=tmp_path, env=env, stderr=subprocess.DEVNULL)
    end = time.monotonic() + DEADLINE_S
    while worker.poll() is None and not bucket.keys("killed/store/units/"):
        assert time.monotonic() < end
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    before = {key: bucket.get(key) for key in bucket.keys("killed/store/units/")}
    assert birdwatch(env, tmp_path, "work", store).returncode == 3
    assert {key: bucket.get(key) for key in before if not key.endswith(".fault")}.items() <= before.items()
    assert birdwatch(env, tmp_path, "merge", store).returncode == 3
    assert in_bucket(bucket, "killed/out/") == alone


def test_an_interrupted_run_goes_on_from_where_it_was(tmp_path, bucket, env, alone, tiny_model):
    """What failed to be uploaded is here, and the same run with --resume scores nothing again."""
    line = ("run", "s3://aru/2025/", *outs("s3://aru/again/"), "--model", tiny_model, "--resume")
    assert birdwatch(env, tmp_path, *line).returncode == 3
    done = birdwatch(env, tmp_path, *line, "--json-progress")
    assert '"resumed": 5' in done.stdout.splitlines()[0]
    assert in_bucket(bucket, "again/") == alone


def test_what_a_person_changed_is_not_replaced(tmp_path, bucket, env, tiny_model):
    line = ("run", "s3://aru/2025/SITE0/", "--out", "s3://aru/mine.csv", "--model", tiny_model)
    for _ in range(2):
        assert birdwatch(env, tmp_path, *line).returncode == 0
    bucket.put("mine.csv", bucket.get("mine.csv") + b"reviewed,by,me\n")
    done = birdwatch(env, tmp_path, *line)
    assert done.returncode == 1
    assert "s3://aru/mine.csv was changed after birdwatch wrote it" in done.stderr
    assert bucket.get("mine.csv").endswith(b"by,me\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--out", "s3://nowhere/d.csv"), "d.csv cannot be written (The specified bucket does not exist)"),
        (("--out", "s3://aru/2025/broken.wav", "--format", "detections"), "is an input of this command"),
        (("--out", "s3://aru/", "--format", "parquet"), "names a bucket"),
        (("--out", "s3://aru/2025/", "--format", "parquet"), "s3://aru/2025 holds"),
        (("--out", "s3://aru/theirs/", "--format", "parquet"), "theirs.recordings.parquet"),
        (("--out", "s3://aru/x/"), "s3://aru/x/ is a folder"),
        (("--out", "s3://aru/x"), "does not determine its format"),
        (("--out", f"s3://{KEY_ID}:{SECRET}@aru/d.csv"), "credentials"),
        (("--out", "s3://aru/d.csv", "--out", "s3://aru/d.csv"), "two --out name the same file"),
        (
            ("--out", "s3://aru/d.csv", "--engine", "dask", "--store", "s3://nowhere/s"),
            "the store s3://nowhere/s cannot",
        ),
    ],
)
def test_what_cannot_be_written_is_one_line(tmp_path, bucket, env, tiny_model, arguments, said):
    bucket.put("theirs/site=A/date=2020-01-01/part-0.parquet", b"of another program")
    before = bucket.keys("")
    done = birdwatch(env, tmp_path, "run", "s3://aru/2025/", *arguments, "--model", tiny_model)
    assert done.returncode == 1, done.stderr
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert SECRET not in done.stderr
    assert bucket.keys("") == before
