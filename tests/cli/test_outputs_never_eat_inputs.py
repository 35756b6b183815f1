"""No `--out` replaces what a command reads, or a device; it is refused before anything is scored."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile


@pytest.fixture
def folder(tmp_path, tiny_model):
    """A recording and everything that a run can read beside it."""
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32), 16000)
    (tmp_path / "model.onnx").write_bytes(tiny_model.read_bytes())
    (tmp_path / "sample.csv").write_text("row_id,gretit1\na_5,0\n")
    (tmp_path / "species.txt").write_text("Great Tit\n")
    (tmp_path / "names.txt").write_text("Parus major_Kohlmeise\n")
    (tmp_path / "list.txt").write_text("a.wav\n")
    (tmp_path / "set.toml").write_text("hop = 5\n")
    (tmp_path / "link.csv").symlink_to("a.wav")
    (tmp_path / "file").write_text("mine")
    os.link(tmp_path / "a.wav", tmp_path / "hard.csv")
    return tmp_path


def birdwatch(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "birdwatch", *arguments], capture_output=True, text=True, cwd=folder, check=False
    )


READ = ("--model", "model.onnx", "--config", "set.toml", "--species", "species.txt", "--locale", "names.txt")


@pytest.mark.parametrize(
    ("out", "said"),
    [
        (["a.wav", "--format", "detections"], "a.wav is an input of this command"),
        (["link.csv"], "link.csv is an input of this command (a.wav)"),
        (["hard.csv"], "hard.csv is an input of this command"),
        (["model.onnx", "--format", "jsonl"], "model.onnx is an input"),
        (["species.txt", "--format", "jsonl"], "species.txt is an input"),
        (["names.txt", "--format", "jsonl"], "names.txt is an input"),
        (["list.txt", "--format", "jsonl"], "list.txt is an input"),
        (["set.toml", "--format", "jsonl"], "set.toml is an input"),
        (["sample.csv", "--format", "kaggle", "--template", "sample.csv"], "sample.csv is an input"),
        (["/dev/null", "--format", "jsonl"], "/dev/null is a device, pipe or socket"),
        (["file/", "--format", "raven"], "file is a file, and a folder is needed there"),
        (["file/d.csv"], "file is a file, and the folder of d.csv is needed there"),
        (["/", "--format", "raven"], "--out / is the root of all folders"),
        (["d.csv", "--out", "d.csv.journal", "--format", "jsonl"], "d.csv.journal is a file that the run itself keeps"),
        (["d.csv", "--out", "d.csv.errors.csv"], "d.csv.errors.csv is a file that the run itself keeps"),
        (["d.csv"], None),
        ([".", "--format", "raven"], None),
    ],
)
def test_a_run_refuses_to_write_over_what_it_reads(folder, out, said):
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    done = birdwatch(folder, "run", "@list.txt", *READ, "--out", *out)
    if said is None:
        assert done.returncode == 0, done.stderr
        return
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "d.csv", "--out", "d.csv"],
        ["report", "d.csv", "--out", "link.csv"],
        ["report", "d.csv", "--audio", ".", "--out", "a.wav"],
        ["embed", "a.wav", "--model", "model.onnx", "--out", "wav.parquet"],
        ["model", "wrap", "model.onnx", "--labels", "names.txt", "--out", "model.onnx"],
        ["model", "wrap", "model.onnx", "--labels", "names.txt", "--out", "names.txt"],
    ],
)
def test_so_do_the_others(folder, arguments):
    pytest.importorskip("onnx")
    (folder / "wav.parquet").symlink_to("a.wav")
    columns = "recording,path,channel,start_s,end_s,label,common_name,scientific_name,score,threshold,start,end\n"
    (folder / "d.csv").write_text(columns + "a,a.wav,,0,1,x,X,,0.9,0.5,,\n")
    if arguments[:2] == ["model", "wrap"]:
        arguments = [*arguments, "--rate", "32000", "--window", "5", "--input", "mel", "--activation", "none"]
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    done = birdwatch(folder, *arguments)
    assert done.returncode == 1
    assert "is an input of this command" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("journal", ["a.wav", "hard.csv", "model.onnx", "set.toml", "species.txt", "names.txt"])
def test_a_journal_is_no_file_that_the_station_reads(folder, journal):
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    options = ["--bind", f"ipc://{folder}/s", "--replay-bind", "off", "--journal", journal]
    done = birdwatch(folder, "listen", "--source", "a.wav", *READ, *options)
    assert done.returncode == 1
    assert f"{journal} is an input of this command" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("option", ["--save-clips", "--record"])
def test_a_folder_for_audio_that_is_a_file_is_refused_at_once(folder, option):
    done = birdwatch(folder, "listen", "--source", "a.wav", "--model", "model.onnx", option, "a.wav")
    assert done.returncode == 1
    assert done.stderr.strip() == "birdwatch: a.wav is a file, and a folder is needed there; name another folder"


def test_a_link_to_another_file_is_followed(folder):
    (folder / "real.csv").write_text("old")
    (folder / "latest.csv").symlink_to("real.csv")
    done = birdwatch(folder, "run", "a.wav", "--model", "model.onnx", "--out", "latest.csv")
    assert done.returncode == 0, done.stderr
    assert (folder / "latest.csv").is_symlink()
    assert (folder / "real.csv").read_text().startswith("row_id,")


def test_a_folder_of_tables_holds_a_link_to_a_recording(folder):
    (folder / "labels").mkdir()
    (folder / "labels" / "a.labels.txt").symlink_to(folder / "a.wav")
    done = birdwatch(folder, "run", "a.wav", "--model", "model.onnx", "--out", "labels/", "--format", "audacity")
    assert done.returncode == 1
    assert "is an input of this command" in done.stderr
