"""A season in a bucket gives the bytes of the same season on a disk, whoever scores it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from buckets import KEY_ID, SECRET, bucket_server
from forked_birdwatch import run_birdwatch
from recordings import written

pytestmark = pytest.mark.slow

OUTPUTS = ["--out", "d.parquet", "--out", "d.csv", "--format", "parquet", "--format", "detections"]
TABLES = ("d.parquet", "d.csv", "d.parquet.errors.csv")


@pytest.fixture(scope="module")
def season(tmp_path_factory, song):
    """Recordings in several formats, some longer than what is read of them for a plan, and two that are none."""
    folder = tmp_path_factory.mktemp("season")
    (folder / "may").mkdir()
    for number in range(3):
        samples = np.roll(song, 32000 * number)[: 32000 * (4 + number)]
        soundfile.write(folder / "may" / f"AM_202405{number + 10}_043000.wav", samples, 32000)
    soundfile.write(folder / "a long name with spaces+plus.wav", np.tile(song, 2), 32000)
    for name in ("opus.opus", "aac.m4a", "flac.flac", "mp3.mp3"):
        written(folder / name, song)
    soundfile.write(folder / "long.flac", np.tile(song, 4), 32000)
    (folder / "broken.wav").write_bytes(b"RIFF")
    (folder / "may" / "empty.flac").write_bytes(b"")
    (folder / "notes.txt").write_text("none")
    return folder


@pytest.fixture(scope="module")
def bucket(season):
    with bucket_server() as bucket:
        bucket.fill(season, "2025/")
        yield bucket


def birdwatch(bucket, folder: Path, *arguments, **more: str):
    done = run_birdwatch(*arguments, cwd=folder, env={**bucket.env, **more})
    assert "Traceback" not in done.stderr, done.stderr
    return done


def tables(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in TABLES}


@pytest.fixture(scope="module")
def alone(tmp_path_factory, bucket, season, tiny_model):
    """What one machine writes of the files, run in their folder: keys are relative to the folder that is named, too."""
    out = tmp_path_factory.mktemp("alone")
    outputs = [str(out / word) if word.startswith("d.") else word for word in OUTPUTS]
    done = birdwatch(bucket, season, "run", ".", *outputs, "--jobs", "1", "--model", tiny_model)
    assert done.returncode == 3, done.stderr
    return tables(out)


def contents(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_a_run_over_a_bucket(tmp_path, bucket, alone, tiny_model, jobs):
    (tmp_path / "scratch").mkdir()
    line = ("run", "s3://aru/2025/", *OUTPUTS, "--jobs", jobs, "--model", tiny_model)
    done = birdwatch(bucket, tmp_path, *line, TMPDIR=str(tmp_path / "scratch"))
    assert done.returncode == 3, done.stderr
    assert tables(tmp_path) == alone
    assert list((tmp_path / "scratch").iterdir()) == []
    for word in (KEY_ID, SECRET):
        assert word.encode() not in contents(tmp_path)
        assert word not in done.stderr + done.stdout


def test_shards_and_a_merge(tmp_path, bucket, alone, tiny_model):
    done = birdwatch(bucket, tmp_path, "plan", "s3://aru/2025/", *OUTPUTS, "--store", "store", "--model", tiny_model)
    assert done.returncode == 0, done.stderr
    codes = [birdwatch(bucket, tmp_path, "work", "store", "--shard", f"{index}/2").returncode for index in (1, 2)]
    assert set(codes) <= {0, 3}
    done = birdwatch(bucket, tmp_path, "merge", "store")
    assert done.returncode == 3, done.stderr
    assert tables(tmp_path) == alone
    for word in (KEY_ID, SECRET):
        assert word.encode() not in contents(tmp_path)


def test_dask_workers(tmp_path, bucket, alone, tiny_model):
    pytest.importorskip("distributed", reason="pip install '.[cluster]'")
    more = ("--engine", "dask", "--workers", "2", "--model", tiny_model)
    done = birdwatch(bucket, tmp_path, "run", "s3://aru/2025/", *OUTPUTS, *more)
    assert done.returncode == 3, done.stderr
    assert tables(tmp_path) == alone


def test_what_changed_since_the_plan_is_not_scored_as_planned(tmp_path, bucket, season, tiny_model):
    data = (season / "may" / "AM_20240510_043000.wav").read_bytes()
    for name in ("a", "b", "c"):
        bucket.put(f"changing/{name}.wav", data)
    more = ("--out", "d.csv", "--store", "store", "--model", tiny_model)
    assert birdwatch(bucket, tmp_path, "plan", "s3://aru/changing", *more).returncode == 0
    bucket.delete("changing/a.wav")
    bucket.put("changing/b.wav", data[:-2] + b"xx")
    assert birdwatch(bucket, tmp_path, "work", "store").returncode == 3
    assert birdwatch(bucket, tmp_path, "merge", "store").returncode == 3
    assert (tmp_path / "d.csv.errors.csv").read_text().splitlines() == [
        "recording,reason",
        "a.wav,a.wav: no such file",
        "b.wav,b.wav has changed since it was looked at; plan or start the run again",
    ]


def test_a_run_is_resumed_with_the_same_objects_and_not_with_others(tmp_path, bucket, season, tiny_model):
    data = (season / "may" / "AM_20240510_043000.wav").read_bytes()
    for name in ("a", "b"):
        bucket.put(f"resumed/{name}.wav", data)
    line = ("run", "s3://aru/resumed/", "--out", "d.csv", "--resume", "--model", tiny_model)
    assert birdwatch(bucket, tmp_path, *line).returncode == 0
    assert "2 recordings" in birdwatch(bucket, tmp_path, *line).stderr
    bucket.put("resumed/b.wav", data[:-2] + b"xx")
    done = birdwatch(bucket, tmp_path, *line, "--json-progress")
    assert '"resumed": 1' in done.stdout.splitlines()[0]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("run", "s3://aru/nothing/", "--out", "d.csv"), 1, "s3://aru/nothing/: no such file"),
        (("run", "s3://nowhere/2025/", "--out", "d.csv"), 1, "s3://nowhere/2025/"),
        (("run", "s3://aru/2025/none.wav", "--out", "d.csv"), 1, "none.wav: no such file"),
        (("run", "nosuch://aru/2025/", "--out", "d.csv"), 1, "nosuch://aru/2025/ cannot be used"),
        (("run", "s3://aru/2025/", "--out", "http://127.0.0.1/d.csv"), 1, "--out is a URL"),
        (("plan", "s3://aru/2025/", "--out", "d.csv", "--store", "http://127.0.0.1/store"), 2, "it is a URL"),
    ],
)
def test_what_does_not_work_is_one_line(tmp_path, bucket, arguments, code, said):
    done = birdwatch(bucket, tmp_path, *arguments)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert code == 2 or len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "url",
    [
        f"s3://{KEY_ID}:{SECRET}@aru/2025/",
        f"https://user:{SECRET}@example.org/2025/",
        f"https://{SECRET}@example.org/2025/",
        f"https://example.org/a.wav?X-Amz-Signature={SECRET}",
        f"s3://aru/a.wav?x=1&token={SECRET}",
        f"sftp://user:{SECRET}@example.org/2025/",
    ],
)
def test_credentials_in_a_url_are_refused_and_not_repeated(tmp_path, bucket, url):
    (tmp_path / "list.txt").write_text(url + "\n")
    for argument in (url, "@list.txt"):
        done = birdwatch(bucket, tmp_path, "run", argument, "--out", "d.csv")
        assert done.returncode == 1
        assert "configuration or environment" in done.stderr
        assert SECRET not in done.stderr + done.stdout
        assert len(done.stderr.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["list.txt"]
