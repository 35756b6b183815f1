"""No `--out` replaces what a command reads, or a device; it is refused before anything is scored."""

from __future__ import annotations

import os

import numpy as np
import pytest
import soundfile
from forked_birdwatch import run_birdwatch

from birdwatch.errors import SinkError

pytestmark = pytest.mark.slow


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
    return run_birdwatch(*arguments, cwd=folder)


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


def labels_of(folder):
    return {path.name: path.read_bytes() for path in (folder / "tables").iterdir()}


@pytest.mark.parametrize(("form", "end"), [("raven", ".selections.txt"), ("audacity", ".labels.txt")])
def test_labels_made_by_hand_stay_in_a_folder_of_tables(folder, form, end):
    """Of the run's recordings; those of others are never touched. What birdwatch wrote is replaced."""
    run = ["run", "a.wav", *READ, "--out", "tables/", "--format", form]
    (folder / "tables").mkdir()
    (folder / "tables" / f"other{end}").write_text("0.5\t1.5\tmine\n")
    for _ in range(2):
        assert birdwatch(folder, *run).returncode == 0
    assert birdwatch(folder, *run, "--resume").returncode == 0
    (folder / "tables" / f"a{end}").write_text("0.5\t1.5\tmine\n")
    before = labels_of(folder)
    for resume in ([], ["--resume"]):
        done = birdwatch(folder, *run, *resume)
        assert done.returncode == 1
        said = f"birdwatch: tables/a{end} was changed after birdwatch wrote it and would be replaced"
        assert done.stderr.splitlines()[-1] == f"{said}; move it away, or name another place to write"
        assert labels_of(folder) == before
    (folder / "tables" / f"a{end}").unlink()
    assert birdwatch(folder, *run, "--resume").returncode == 0
    assert (folder / "tables" / f"other{end}").read_text() == "0.5\t1.5\tmine\n"


def test_a_table_of_a_channel_stays_as_it_was_made(folder):
    soundfile.write(folder / "b.wav", np.random.default_rng(0).normal(0, 0.1, (16000, 2)).astype(np.float32), 16000)
    (folder / "tables").mkdir()
    (folder / "tables" / "b_ch1.labels.txt").write_text("0.5\t1.5\tmine\n")
    run = ["run", "b.wav", *READ, "--channel", "each", "--out", "tables/", "--format", "audacity"]
    done = birdwatch(folder, *run)
    assert done.returncode == 1
    assert "tables/b_ch1.labels.txt was not written by birdwatch" in done.stderr
    assert list(labels_of(folder)) == ["b_ch1.labels.txt"]


@pytest.mark.parametrize(
    ("out", "form"), [("k.csv", "kaleidoscope"), ("d.csv", "detections"), ("s.csv", "submission"), ("d.jsonl", "jsonl")]
)
def test_a_table_that_a_person_changed_stays(folder, out, form):
    run = ["run", "a.wav", *READ, "--min-score", "0", "--out", out, "--format", form]
    assert birdwatch(folder, *run).returncode == 0
    text = (folder / out).read_text()
    assert birdwatch(folder, *run).returncode == 0
    assert (folder / out).read_text() == text
    # As MANUAL ID is filled in: the last cell of the last row.
    (folder / out).write_text(text.rstrip("\n") + "Great Tit\n")
    done = birdwatch(folder, *run)
    assert done.returncode == 1
    assert f"{out} was changed after birdwatch wrote it" in done.stderr
    assert (folder / out).read_text() == text.rstrip("\n") + "Great Tit\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "a.wav", *READ, "--out", "mine.csv"],
        ["run", "a.wav", *READ, "--out", "mine.csv", "--format", "kaggle", "--template", "sample.csv"],
        ["run", "a.wav", *READ, "--out", "mine.selections.txt"],
        ["run", "a.wav", *READ, "--out", "mine.parquet"],
        ["run", "a.wav", *READ, "--out", "new.csv", "--out", "mine.jsonl"],
        ["report", "d.jsonl", "--out", "mine.html"],
        ["evaluate", "d.jsonl", "--truth", "truth.csv", "--out", "mine.csv"],
        ["evaluate", "d.jsonl", "--truth", "truth.csv", "--reliability", "mine.csv"],
    ],
)
def test_so_does_a_file_that_is_not_birdwatchs_own(folder, arguments):
    run = ["run", "a.wav", *READ, "--min-score", "0", "--out", "d.jsonl"]
    assert birdwatch(folder, *run).returncode == 0
    (folder / "truth.csv").write_text("recording,label\na,gretit1\n")
    (mine := folder / next(word for word in arguments if word.startswith("mine"))).write_text("start,end\n1,2\n")
    done = birdwatch(folder, *arguments)
    assert done.returncode == 1
    assert f"{mine.name} was not written by birdwatch" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert mine.read_text() == "start,end\n1,2\n"
    mine.unlink()
    for _ in range(2):
        done = birdwatch(folder, *arguments)
        assert done.returncode == 0, done.stderr


def test_labels_made_while_the_run_went_on_stay_and_its_results_are_kept(folder, monkeypatch):
    """Changed between the first look and the writing: nothing is replaced, and `--resume` scores nothing again."""
    from birdwatch.batch import run as batch_run
    from birdwatch.cli.main import birdwatch as command

    monkeypatch.chdir(folder)
    real = batch_run.write_output

    def late(output, *arguments, **options):
        (folder / "tables").mkdir(exist_ok=True)
        (folder / "tables" / "a.labels.txt").write_text("0.5\t1.5\tmine\n")
        return real(output, *arguments, **options)

    monkeypatch.setattr(batch_run, "write_output", late)
    run = ["run", "a.wav", *READ, "--out", "tables/", "--format", "audacity"]
    with pytest.raises(SinkError, match=r"a\.labels\.txt was not written by birdwatch"):
        command(run, standalone_mode=False)
    assert (folder / "tables" / "a.labels.txt").read_text() == "0.5\t1.5\tmine\n"
    assert (folder / "tables.journal").exists()
