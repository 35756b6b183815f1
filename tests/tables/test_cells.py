"""Names that a spreadsheet would run and names that would break a line: written safely, read back as they were."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_model import LABELS, manifest

from birdwatch.evaluation.annotations import read_truth
from birdwatch.evaluation.predictions import read_predictions
from birdwatch.tables.cells import FORMULA, original_text, plain_cells, spreadsheet_cells
from birdwatch.tables.formats import Output, write_output
from birdwatch.tables.reading import read_detections
from birdwatch.tables.result import DETECTIONS, EVENTS, Result, Vocabulary

NAMES = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2",
    "@SUM(A1)",
    "tab\there",
    "line\nend",
    "bare\rreturn",
    "\r=1",
    'quote"d',
    "'=kept",
]


def result(name):
    rows = np.array([(0, 160000, 0, 0.75)], DETECTIONS)
    events = np.array([(0, 160000, 0, 0.75, 0.5, 1)], EVENTS)
    present = np.array([True, False, False])
    return Result(
        name, Path("season") / f"{name}.wav", None, 1715574600 * 10**9, 160000, 0, 0, "", present,
        lambda kind: iter([rows if kind == "windows" else events]),
        lambda: iter([np.full((1, 3), 0.5, np.float32)]),
    )  # fmt: skip


WORDS = Vocabulary(manifest(), np.full(3, 0.5, np.float32))


def write(path, form, words=WORDS):
    write_output(Output(path, form), [result(name) for name in NAMES], words, run={})
    return path


@pytest.mark.parametrize("form", ["detections", "submission", "kaggle", "kaleidoscope"])
def test_no_cell_of_a_csv_is_a_formula(tmp_path, form):
    with write(tmp_path / "t.csv", form).open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert rows
    for row in rows:
        assert len(row) == len(header)
        assert not [cell for cell in row if cell.startswith(FORMULA)]


def test_names_come_back_as_they_were(tmp_path):
    assert [row.recording for row in read_detections(write(tmp_path / "d.csv", "detections")).rows] == NAMES
    assert [row.recording for row in read_detections(write(tmp_path / "d.jsonl", "jsonl")).rows] == NAMES
    assert [row.recording for row in read_detections(write(tmp_path / "d.parquet", "parquet")).rows] == NAMES
    read = read_predictions(write(tmp_path / "s.csv", "submission"))
    assert list(dict.fromkeys(row.recording for row in read.rows)) == NAMES


def test_classes_come_back_as_they_were(tmp_path):
    labels = (replace(LABELS[0], code="=1+1"), replace(LABELS[1], code="-x"), *LABELS[2:])
    words = replace(WORDS, manifest=manifest(labels=labels))
    for form in ("submission", "detections"):
        read = read_predictions(write(tmp_path / f"{form}.csv", form, words))
        assert "=1+1" in {row.label for row in read.rows}
        assert "=1+1" in read.names.codes


@given(st.text())
def test_the_apostrophe_is_taken_off_again(name):
    (cell,) = spreadsheet_cells([name])
    assert not str(cell).startswith(FORMULA)
    assert original_text(str(cell)) == name
    (plain,) = plain_cells([name])
    assert not set("\t\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029") & set(plain)


def test_raven_and_audacity_have_a_line_per_row(tmp_path):
    lines = write(tmp_path / "r.txt", "raven").read_text().split("\n")
    assert {line.count("\t") for line in lines[:-1]} == {14}
    assert len(lines) == len(NAMES) + 2
    truth = read_truth(tmp_path / "r.txt")
    assert [item.label for item in truth] == ["gretit1"] * len(NAMES)
    assert any(item.recording.endswith("season/tab here.wav") for item in truth)
    assert len(write(tmp_path / "a.txt", "audacity").read_text().splitlines()) == len(NAMES)


def test_tables_are_read_back_as_ground_truth_with_the_same_times(tmp_path):
    words = replace(WORDS, manifest=manifest(labels=LABELS))
    for form, name in (("raven", "r.txt"), ("audacity", "a.txt")):
        (item,) = {(item.start_s, item.end_s) for item in read_truth(write(tmp_path / name, form, words))}
        assert item == (0.0, 5.0)


def test_times_are_local_where_a_zone_is_given(tmp_path):
    words = replace(WORDS, timezone="Europe/Berlin")
    table = pd.read_csv(write(tmp_path / "d.csv", "detections", words))
    assert set(table["start_local"]) == {"2024-05-13T06:30:00.000+02:00"}
    assert set(table["end_local"]) == {"2024-05-13T06:30:05.000+02:00"}
    assert (pd.to_datetime(table["start_local"]) == pd.to_datetime(table["start"])).all()
    assert read_detections(tmp_path / "d.csv").timezone == "Europe/Berlin"
    assert read_detections(write(tmp_path / "d.jsonl", "jsonl", words)).timezone == "Europe/Berlin"
    assert "start_local" not in pd.read_csv(write(tmp_path / "u.csv", "detections"))
