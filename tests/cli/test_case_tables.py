"""The small tables that were once misread: ground truth, labels, names of a language and a template."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from forked_birdwatch import run_birdwatch

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "said"),
    [
        # Each was compared without its times, or as the class that the model had detected.
        ("birdnet_start_s", "the label 'Parus major' of tit.wav ends at 103 s, the recording has 20 s"),
        ("end_1e9", "line 2: end_s is 1e9, expected seconds from 0 to 604800"),
        ("kaleidoscope_manual_id", "no class: 'Blue Tit' (did you mean 'Eurasian Blue Tit'"),
        ("nan", "line 2: start_s is nan, expected seconds from 0 to 604800"),
        ("one_time_missing", "line 6: 'comchaf' has no times, other rows have"),
    ],
)
def test_ground_truth_that_cannot_be_compared_is_refused(
    shared_cases: Path, tmp_path: Path, name: str, said: str
) -> None:
    pytest.importorskip("pyarrow.parquet", reason="needs pyarrow: pip install 'birdwatch[parquet]'")
    done = run_birdwatch(
        "evaluate", shared_cases / "table.parquet", "--truth", shared_cases / f"truth_{name}.csv", cwd=tmp_path
    )
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_a_point_on_a_boundary_is_in_the_segment_that_begins_there(shared_cases: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow.parquet", reason="needs pyarrow: pip install 'birdwatch[parquet]'")
    truth = shared_cases / "truth_point_on_boundary.csv"
    done = run_birdwatch("evaluate", shared_cases / "table.parquet", "--truth", truth, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "4 segments of 1 recording" in done.stderr
    # The model detects a great tit in all four segments; it is there in the second.
    assert done.stdout.splitlines()[1].split()[:6] == ["gretit1", "1", "1", "3", "0.2500", "1.0000"]


def test_labels_with_semicolons_and_names_that_r_quoted(shared_cases: Path, tmp_path: Path) -> None:
    model, out = tmp_path / "n3.onnx", tmp_path / "d.csv"
    network = (shared_cases / "n3.onnx", "--rate", 16000, "--window", 1, "--input", "waveform")
    labels = ("--labels", shared_cases / "labels_semicolon.csv")
    done = run_birdwatch("model", "wrap", *network, *labels, "--activation", "sigmoid", "--out", model, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    names = ("--locale", shared_cases / "locale_quoted_by_R.csv")
    table = ("--min-score", 0, "--format", "detections", "--out", out)
    done = run_birdwatch("run", shared_cases / "1s.wav", "--model", model, *names, *table, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with out.open(newline="") as stream:
        found = {row["label"]: (row["scientific_name"], row["common_name"]) for row in csv.DictReader(stream)}
    assert found == {
        "a": ("Turdus merula", "Blackbird"),
        "b": ("Parus major", "Kohlmeise"),
        "c": ("Apus apus", "Swift"),
    }


def test_a_template_that_shares_no_class_is_filled_and_said(
    shared_cases: Path, tiny_model: Path, tmp_path: Path
) -> None:
    template, out = shared_cases / "template_no_known_class.csv", tmp_path / "k.csv"
    done = run_birdwatch(
        "run",
        shared_cases / "1s.wav",
        "--model",
        tiny_model,
        "--format",
        "kaggle",
        "--template",
        template,
        "--out",
        out,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "2 of 2 columns of the template are no classes of the model" in done.stderr
    assert "zzz1, zzz2" in done.stderr
    assert out.read_text() == template.read_text()
