"""`birdwatch run` over archives: killed, resumed, in any number of threads, in flat memory. Real processes."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import struct
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from forked_birdwatch import run_birdwatch

pytestmark = pytest.mark.slow

OUTPUTS = ["--out", "d.parquet", "--out", "sub.csv", "--out", "d.jsonl", "--out", "k.csv", "--out", "raven/"]
FORMS = [word for form in ("parquet", "submission", "jsonl", "kaggle", "raven") for word in ("--format", form)]


def command(model, *arguments):
    return [sys.executable, "-m", "birdwatch", "run", *map(str, arguments), "--model", str(model)]


@pytest.fixture
def run(tmp_path, tiny_model):
    def call(*arguments, folder=tmp_path, text=""):
        return run_birdwatch("run", *arguments, "--model", tiny_model, cwd=folder, text=text)

    return call


@pytest.fixture
def season(tmp_path, song):
    folder = tmp_path / "season"
    for number in range(10):
        path = folder / ("may", "june")[number % 2] / f"AM_202405{number + 10}_043000.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.roll(song, 32000 * number)[: 32000 * (4 + number)], 32000)
    return folder


def written(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in [
            folder / "d.parquet",
            folder / "sub.csv",
            folder / "d.jsonl",
            folder / "k.csv",
            *(folder / "raven").rglob("*.txt"),
        ]
    }


def results_in(journal):
    """How many recordings a run database that is not being written holds."""
    import sqlite3

    connection = sqlite3.connect(journal)
    try:
        return connection.execute("SELECT count(*) FROM recording WHERE done").fetchone()[0]
    finally:
        connection.close()


def test_killed_at_random_moments_and_resumed_it_writes_the_same_bytes(run, season, tmp_path, tiny_model):
    # A small hop makes much work of little audio, so that kills find the run in the middle of it.
    arguments = [season, *OUTPUTS, *FORMS, "--hop", "0.2", "--min-score", "0.3"]
    (tmp_path / "whole").mkdir()
    assert run(*arguments, folder=tmp_path / "whole").returncode == 0
    expected = written(tmp_path / "whole")
    killed = tmp_path / "killed"
    killed.mkdir()
    journal = killed / "d.parquet.journal"
    moments = random.Random()
    found = []
    for _ in range(5):
        with subprocess.Popen(
            command(tiny_model, *arguments, "--resume"),
            cwd=killed,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            deadline = time.monotonic() + 60
            size = journal.stat().st_size if journal.exists() else 0
            while process.poll() is None and time.monotonic() < deadline:
                if journal.exists() and journal.stat().st_size > size:
                    break
            try:
                process.wait(timeout=moments.uniform(0.0, 0.4))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
        found.append(results_in(journal) if journal.exists() else 0)
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
        if found[-1] < 10:
            # Outputs appear whole or not at all.
            assert not any((killed / name).exists() for name in ("d.parquet", "sub.csv", "d.jsonl", "k.csv"))
    assert found == sorted(found)  # what was done stays done
    assert run(*arguments, "--resume", folder=killed).returncode == 0
    assert written(killed) == expected
    assert not list(killed.rglob("*.part"))


@pytest.mark.parametrize("options", [("--jobs", "1", "--batch", "1"), ("--jobs", "4", "--batch", "7")])
def test_the_bytes_do_not_depend_on_jobs_or_batch(run, season, tmp_path, options):
    for name, more in (("plain", ()), ("other", options)):
        (tmp_path / name).mkdir()
        done = run(season, *OUTPUTS, *FORMS, "--min-score", "0.1", *more, folder=tmp_path / name)
        assert done.returncode == 0, done.stderr
    assert written(tmp_path / "plain") == written(tmp_path / "other")


def test_a_higher_least_score_needs_nothing_scored_again(run, season, tmp_path):
    def resume(least, out):
        arguments = ("--out", out, "--format", "detections", "--resume", "--json-progress", "--hop", "5")
        return run(season, *arguments, "--min-score", least)

    assert resume("0.1", "d.csv").returncode == 0
    lines = resume("0.4", "d.csv").stdout.splitlines()
    assert json.loads(lines[-1])["resumed"] == 10
    assert json.loads(lines[-1])["done"] == 0
    fresh = run(season, "--out", "f.csv", "--format", "detections", "--hop", "5", "--min-score", "0.4")
    assert fresh.returncode == 0
    assert (tmp_path / "d.csv").read_bytes() == (tmp_path / "f.csv").read_bytes()
    # The rows from 0.1 on are still kept, lower ones are not.
    assert json.loads(resume("0.1", "d.csv").stdout.splitlines()[-1])["resumed"] == 10
    refused = resume("0.05", "d.csv")
    assert refused.returncode == 1
    assert "keeps rows from 0.1 on" in refused.stderr


def test_only_what_is_new_or_changed_is_done_by_resume(run, season, tmp_path, song):
    arguments = (
        season,
        "--out",
        "d.csv",
        "--format",
        "detections",
        "--min-score",
        "0.1",
        "--resume",
        "--json-progress",
    )

    def last(done):
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    assert last(run(*arguments))["resumed"] == 0
    first = (tmp_path / "d.csv").read_bytes()
    assert last(run(*arguments))["resumed"] == 10
    assert (tmp_path / "d.csv").read_bytes() == first
    changed = season / "may" / "AM_20240510_043000.wav"
    soundfile.write(changed, song[::-1][: 32000 * 6], 32000)
    soundfile.write(season / "new.wav", song, 32000)
    state = last(run(*arguments))
    assert (state["done"], state["resumed"]) == (2, 9)
    assert (tmp_path / "d.csv").read_bytes() != first
    fresh = run(season, "--out", "fresh.csv", "--format", "detections", "--min-score", "0.1")
    assert fresh.returncode == 0
    assert not (tmp_path / "fresh.csv.journal").exists()
    assert (tmp_path / "d.csv").read_bytes() == (tmp_path / "fresh.csv").read_bytes()


def test_changed_parameters_are_refused(run, season, tmp_path):
    assert run(season, "--out", "d.csv", "--resume").returncode == 0
    done = run(season, "--out", "d.csv", "--resume", "--hop", "1", "--threshold", "0.2")
    assert done.returncode == 1
    assert "hop_s was 2.5 and is 1.0; threshold was None and is 0.2" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_stopped_by_a_signal_it_keeps_what_is_done(season, tmp_path, tiny_model, run):
    arguments = (season, "--out", "d.csv", "--hop", "0.1", "--jobs", "1")
    with subprocess.Popen(
        command(tiny_model, *arguments), cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        journal = tmp_path / "d.csv.journal"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (journal.exists() and journal.stat().st_size > 8192):
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "add --resume to continue" in said
    assert "Traceback" not in said
    assert not (tmp_path / "d.csv").exists()
    kept = results_in(journal)
    forgotten = run(*arguments)
    if kept:
        assert forgotten.returncode == 1
        assert "add --resume to continue from there" in forgotten.stderr


def test_progress_for_programs(run, season, tmp_path):
    (season / "bad.wav").write_text("no audio")
    done = run(season, "--out", "d.csv", "--json-progress")
    assert done.returncode == 3
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["kind"] for line in lines][-2:] == ["scored", "finished"]
    last = lines[-1]
    assert (last["recordings"], last["done"], last["failed"], last["exit_code"]) == (11, 10, 1, 3)
    assert last["audio_s_left"] == 0
    assert last["audio_s_done"] == sum(min(4 + n, 13) for n in range(10))


def test_cut_off_recordings_are_scored_with_a_warning(run, season, tmp_path, song):
    path = season / "cut.wav"
    soundfile.write(path, song, 32000)
    os.truncate(path, path.stat().st_size // 2)
    done = run(season, "--out", "sub.csv")
    assert done.returncode == 0
    assert "cut.wav was not closed by its recorder: its header says 13.0 s, 6.5 s are there" in done.stderr
    assert "1 with a warning" in done.stderr
    with (tmp_path / "sub.csv").open() as stream:
        assert "cut" in {row["row_id"] for row in csv.DictReader(stream)}


def test_a_failed_recording_is_tried_again_once_it_is_whole(run, season, tmp_path, song):
    (season / "bad.wav").write_text("no audio")
    assert run(season, "--out", "sub.csv").returncode == 3
    assert (tmp_path / "sub.csv.errors.csv").exists()
    # Without --resume it starts over and is not held up by the journal of the last run, which wrote all it had.
    assert run(season, "--out", "sub.csv").returncode == 3
    soundfile.write(season / "bad.wav", song, 32000)
    done = run(season, "--out", "sub.csv", "--resume")
    assert done.returncode == 0
    assert "11 recordings (10 of them before)" in done.stderr
    assert not (tmp_path / "sub.csv.errors.csv").exists()


def test_a_dry_run_lists_and_writes_nothing(run, season, tmp_path):
    done = run("-", "--dry-run", "--since", "2024-05-12", "--until", "2024-05-14", text=f"{season}\n")
    assert done.returncode == 0
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [(row[0], row[2]) for row in rows] == [
        ("june/AM_20240513_043000", "2024-05-13T04:30:00.000Z"),
        ("may/AM_20240512_043000", "2024-05-12T04:30:00.000Z"),
        ("may/AM_20240514_043000", "2024-05-14T04:30:00.000Z"),
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["season"]


def test_channels_apart(run, tmp_path, song):
    soundfile.write(tmp_path / "two.wav", np.stack([song, song[::-1]], axis=1), 32000, subtype="FLOAT")
    for name, samples in (("two_ch0.wav", song), ("two_ch1.wav", song[::-1])):
        (tmp_path / "apart").mkdir(exist_ok=True)
        soundfile.write(tmp_path / "apart" / name, samples, 32000, subtype="FLOAT")
    assert run("two.wav", "--out", "each.csv", "--format", "kaggle", "--channel", "each").returncode == 0
    assert run("apart", "--out", "apart.csv", "--format", "kaggle").returncode == 0
    assert (tmp_path / "each.csv").read_text() == (tmp_path / "apart.csv").read_text()
    assert run("two.wav", "--out", "one.csv", "--format", "kaggle", "--channel", "1").returncode == 0
    apart = (tmp_path / "apart.csv").read_text().splitlines()
    assert (tmp_path / "one.csv").read_text().splitlines()[1:] == [
        line.replace("two_ch1", "two") for line in apart if "two_ch1" in line
    ]


def test_memory_is_flat_whatever_the_length(tmp_path, tiny_model):
    """8 channels at 192 kHz: five times the audio (184 MB more as floats) must not cost 40 MB more."""
    peaks = {}
    for seconds in (10, 50):
        path = tmp_path / f"{seconds}.wav"
        size = seconds * 192000 * 8 * 2
        layout = struct.pack("<4sIHHIIHH4sI", b"fmt ", 16, 1, 8, 192000, 192000 * 16, 16, 16, b"data", size)
        path.write_bytes(b"RIFF" + struct.pack("<I", 36 + size) + b"WAVE" + layout)
        os.truncate(path, 44 + size)  # sparse: digital silence
        code = (
            "import resource, sys; from birdwatch.cli.main import birdwatch; sys.argv[0] = 'birdwatch'\n"
            "try: birdwatch()\n"
            "except SystemExit as end: assert not end.code, end.code\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, "run", str(path), "--out", "o.csv", "--model", str(tiny_model)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=True,
        )
        peaks[seconds] = int(done.stdout)
    assert peaks[50] - peaks[10] < 40, peaks
