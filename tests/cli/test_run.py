"""`birdwatch run` as its user calls it: the real command in a process of its own, real files, what comes out."""

from __future__ import annotations

import csv
import json
import os

import numpy as np
import pyarrow.parquet
import pytest
import reference
import soundfile
import soxr
from forked_birdwatch import run_birdwatch

import birdwatch
from birdwatch.config.schema import Settings

pytestmark = pytest.mark.slow

LABELS = ["gretit1", "eurrob1", "eurbla"]


@pytest.fixture
def run(tmp_path, tiny_model):
    def call(*arguments, model=tiny_model):
        return run_birdwatch("run", *arguments, "--model", model, cwd=tmp_path)

    return call


@pytest.fixture
def recording(tmp_path, song):
    soundfile.write(tmp_path / "dawn.wav", song, 32000, subtype="FLOAT")
    return tmp_path / "dawn.wav"


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.reader(stream))


def expected_scores(model, song, hop):
    starts = reference.window_starts(len(song), 160000, hop, 16000)
    return reference.score_windows(model, [np.pad(song[s : s + n], (0, 160000 - n)) for s, n in starts])


def test_a_recording_in_a_submission_out(run, recording, tmp_path, tiny_model, song):
    done = run(recording, "--out", "sub.csv")
    assert (done.returncode, done.stdout) == (0, "")
    maximum = expected_scores(tiny_model, song, 80000).max(axis=0)
    assert rows(tmp_path / "sub.csv") == [
        ["row_id", "class_name", "presence"],
        *([["dawn", code, str(int(score >= 0.5))] for code, score in zip(LABELS, maximum, strict=True)]),
    ]
    assert "CPUExecutionProvider" in done.stderr


def test_a_threshold_decides_presence(run, recording, tmp_path):
    for threshold, presence in (("0", "1"), ("1", "0")):
        assert run(recording, "--out", "sub.csv", "--threshold", threshold).returncode == 0
        assert {row[2] for row in rows(tmp_path / "sub.csv")[1:]} == {presence}


def test_the_configuration_of_a_station_reaches_a_run_and_options_win(run, recording, tmp_path, monkeypatch):
    def present(*options):
        assert run(recording, "--out", "sub.csv", *options).returncode == 0
        return [row[2] for row in rows(tmp_path / "sub.csv")[1:]]

    (tmp_path / "station.toml").write_text('device = "usb"\nthreshold = 0.0\n[class.eurrob1]\nthreshold = 1.0\n')
    assert present("--config", "station.toml") == ["1", "0", "1"]
    assert present("--config", "station.toml", "--threshold", "1") == ["0", "0", "0"]
    monkeypatch.setenv("BIRDWATCH_THRESHOLD", "0")
    assert present() == ["1", "1", "1"]
    (tmp_path / "wrong.toml").write_text("[class.nobird]\nthreshold = 0.5\n")
    done = run(recording, "--out", "sub.csv", "--config", "wrong.toml")
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (1, 1)
    assert "class.nobird: tiny has no such class" in done.stderr


def test_events_are_rows_and_the_same_as_those_of_analyze(run, recording, tmp_path, tiny_model):
    options = ("--threshold", "0.4", "--event-off", "0.3", "--event-bridge", "0")
    assert run(recording, "--out", "e.csv", "--format", "detections", "--rows", "events", *options).returncode == 0
    settings = Settings(threshold=0.4, event_off=0.3, event_bridge=0.0)
    found = birdwatch.analyze(recording, birdwatch.load_model(tiny_model), settings=settings)
    with (tmp_path / "e.csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))
    assert found.events
    assert {(row["start_s"], row["end_s"], row["label"], row["score"], row["windows"]) for row in table} == {
        (
            f"{event.start_frame / 32000:.3f}",
            f"{event.end_frame / 32000:.3f}",
            LABELS[event.label],
            f"{np.float32(event.max_score):.6f}",
            str(event.windows),
        )
        for event in found.events
    }


def test_silence_has_no_species_and_nan_costs_its_frames_only(run, tmp_path, song):
    soundfile.write(tmp_path / "zeros.wav", np.zeros(10 * 32000), 32000)
    soundfile.write(tmp_path / "song.wav", song, 32000, subtype="FLOAT")
    holes = song.copy()
    holes[6 * 32000 : 6 * 32000 + 320] = np.nan
    soundfile.write(tmp_path / "nan.wav", holes, 32000, subtype="FLOAT")
    done = run("zeros.wav", "nan.wav", "--out", "d.parquet", "--threshold", "0")
    assert done.returncode == 0
    assert "nan.wav holds NaN or infinity in 0.010 s, which are not scored" in done.stderr
    table = pyarrow.parquet.read_table(tmp_path / "d.parquet")
    assert set(table["recording"].to_pylist()) == {"nan"}
    about = json.loads(table.schema.metadata[b"birdwatch.run"])["recordings"]
    assert [(row["name"], row["duration_s"], row["silent_s"]) for row in about] == [
        ("zeros", 10.0, 10.0),
        ("nan", 13.0, 0.0),
    ]
    assert about[1]["unscored_s"] == pytest.approx(0.01)


def test_the_same_recording_in_other_forms_gives_the_same_species(run, tmp_path, song):
    folder = tmp_path / "forms"
    folder.mkdir()
    soundfile.write(folder / "a.wav", song, 32000)
    soundfile.write(folder / "b.flac", song, 32000)
    soundfile.write(folder / "c.ogg", song, 32000)
    high = soxr.resample(song, 32000, 44100)
    soundfile.write(folder / "d.wav", np.stack([high, high], axis=1), 44100)
    assert run(folder, "--out", "sub.csv").returncode == 0
    found = {}
    for row_id, code, presence in rows(tmp_path / "sub.csv")[1:]:
        found.setdefault(row_id, {})[code] = presence
    assert list(found) == ["a", "b", "c", "d"]
    assert set(found["a"].values()) == {"0", "1"}
    assert all(each == found["a"] for each in found.values())


def test_kaggle_rows_are_single_windows_at_a_hop_of_5(run, recording, tmp_path, tiny_model, song):
    assert run(recording, "--out", "k.csv", "--format", "kaggle", "--hop", "5").returncode == 0
    table = rows(tmp_path / "k.csv")
    assert table[0] == ["row_id", *LABELS]
    assert [row[0] for row in table[1:]] == ["dawn_5", "dawn_10", "dawn_15"]
    got = np.array([row[1:] for row in table[1:]], np.float64)
    np.testing.assert_allclose(got, expected_scores(tiny_model, song, 160000), rtol=0, atol=1e-3)


def test_rows_are_blended_and_smoothed_on_the_command_line(run, recording, tmp_path, tiny_model):
    kaggle = (recording, "--out", "k.csv", "--format", "kaggle", "--hop", "5")
    assert run(*kaggle).returncode == 0
    plain = np.array([row[1:] for row in rows(tmp_path / "k.csv")[1:]], np.float64)
    same = run(*kaggle, "--blend-with", tiny_model, "--smooth", ".25/.5/.25", "--budget", "1h", "--overlap", "mean")
    assert (same.returncode, same.stdout) == (0, "")
    assert "; 2 of 2 models; " in same.stderr
    smoothed = np.array([row[1:] for row in rows(tmp_path / "k.csv")[1:]], np.float64)
    np.testing.assert_allclose(smoothed[1], plain[0] / 4 + plain[1] / 2 + plain[2] / 4, atol=1e-5)
    for wrong, said in (
        (("--smooth", ".5/.5"), "odd number of weights"),
        (("--budget", "ten"), "85min, 1.5h or 300s"),
        (("--blend-power", "0"), "0"),
        (
            ("--out", "d.parquet", "--blend-with", tiny_model),
            "only --format kaggle can be blended; write the other tables",
        ),
    ):
        done = run(*kaggle, *wrong)
        assert done.returncode == 2
        assert said in done.stderr
    done = run(recording, "--out", "sub.csv", "--smooth", "1/2/1")
    assert done.returncode == 2
    assert "--format kaggle; add it, or leave them out" in done.stderr


def test_recordings_that_would_share_row_ids_are_refused_before_they_are_scored(run, tmp_path, song):
    for folder in ("may", "june"):
        (tmp_path / "season" / folder).mkdir(parents=True)
        soundfile.write(tmp_path / "season" / folder / "dawn.wav", song, 32000)
    done = run("season", "--out", "k.csv", "--format", "kaggle")
    assert done.returncode == 1
    assert "june/dawn and may/dawn would share the row ids dawn_5" in done.stderr
    assert not list(tmp_path.glob("k.csv*"))
    assert run("season", "--out", "sub.csv").returncode == 0


def test_a_template_gives_order_rows_and_columns(run, recording, tmp_path):
    (tmp_path / "sample.csv").write_text("row_id,eurbla,unknown1,gretit1\ndawn_10,0,0,0\ndawn_5,0,0,0\nother_5,0,0,0\n")
    assert run(recording, "--out", "k.csv", "--format", "kaggle", "--hop", "5").returncode == 0
    plain = {row[0]: dict(zip(LABELS, row[1:], strict=True)) for row in rows(tmp_path / "k.csv")[1:]}
    done = run(recording, "--out", "t.csv", "--format", "kaggle", "--hop", "5", "--template", "sample.csv")
    assert "1 row of sample.csv has no recording" in done.stderr
    assert rows(tmp_path / "t.csv") == [
        ["row_id", "eurbla", "unknown1", "gretit1"],
        *([name, plain[name]["eurbla"], "0", plain[name]["gretit1"]] for name in ("dawn_10", "dawn_5")),
        ["other_5", "0", "0", "0"],
    ]


def test_row_ids_of_a_folder_are_paths_inside_it(run, tmp_path, song):
    (tmp_path / "season" / "may").mkdir(parents=True)
    for name in ("b.wav", "may/a.WAV"):
        soundfile.write(tmp_path / "season" / name, song, 32000, format="WAV")
    (tmp_path / "season" / "notes.txt").write_text("rain at noon")
    assert run("season", "--out", "sub.csv").returncode == 0
    assert list(dict.fromkeys(row[0] for row in rows(tmp_path / "sub.csv")[1:])) == ["b", "may/a"]


def test_names_and_dates_that_broke_runs(run, tmp_path, song):
    """A name that is no UTF-8, one as long as a file system allows, and years that no table can hold."""
    names = [os.fsdecode(b"caf\xe9.wav"), "l" * 251 + ".wav", "99991231_235959.wav", "00010101_000000.wav"]
    for name in names:
        soundfile.write(tmp_path / "season.wav", song[:160000], 32000)
        (tmp_path / "season").mkdir(exist_ok=True)
        (tmp_path / "season.wav").rename(tmp_path / "season" / name)
    outs = ("--out", "d.parquet", "--out", "s.csv", "--out", "raven/")
    done = run("season", *outs, *("--format", "parquet", "--format", "submission", "--format", "raven"))
    assert done.returncode == 0, done.stderr
    assert "start in the year 9999, which is ignored" in done.stderr
    assert "start in the year 0001, which is ignored" in done.stderr
    assert len({row[0] for row in rows(tmp_path / "s.csv")[1:]}) == 4
    assert len(list((tmp_path / "raven").iterdir())) == 4
    table = pyarrow.parquet.read_table(tmp_path / "d.parquet")
    assert table["start"].null_count == len(table)


def test_one_bad_recording_never_costs_another(run, recording, tmp_path):
    (tmp_path / "bad.wav").write_text("no audio")
    done = run("bad.wav", recording, "--out", "sub.csv")
    assert done.returncode == 3
    assert {row[0] for row in rows(tmp_path / "sub.csv")[1:]} == {"dawn"}
    ((_, reason),) = rows(tmp_path / "sub.csv.errors.csv")[1:]
    assert "is not audio" in reason


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["none.wav", "--out", "s.csv"], 1, "none.wav: no such file"),
        (["text.wav", "--out", "s.csv"], 1, "text.wav is not audio that can be read"),
        (["empty.wav", "--out", "s.csv"], 1, "empty.wav is empty"),
        (["folder", "--out", "s.csv"], 1, "folder holds no recording"),
        (["dawn.wav", "--out", "nowhere/s.csv"], 1, "the folder nowhere of s.csv does not exist"),
        (["dawn.wav", "--out", "folder"], 1, "folder is a folder"),
        (["dawn.wav", "--out", "s.csv", "--hop", "9"], 1, "hop is 9 s"),
        (["dawn.wav"], 2, "--out"),
        (["dawn.wav", "--out", "s.csv", "--threshold", "2"], 2, "--threshold"),
        (["dawn.wav", "--out", "s.csv", "--template", "t.csv"], 2, "--template"),
    ],
)
def test_bad_input_gets_one_line_and_leaves_what_was_there(run, recording, tmp_path, arguments, code, said):
    (tmp_path / "text.wav").write_text("no audio")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "s.csv").write_text("of yesterday")
    done = run(*arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert code == 2 or len(done.stderr.strip().splitlines()) == 1
    assert (tmp_path / "s.csv").read_text() == "of yesterday"
    assert not list(tmp_path.glob(".*.part"))


def test_a_model_that_is_none_is_one_line(run, recording, tmp_path):
    (tmp_path / "m.onnx").write_text("no model")
    done = run(recording, "--out", "s.csv", model=tmp_path / "m.onnx")
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "m.onnx is not a model" in done.stderr
