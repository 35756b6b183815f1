from __future__ import annotations

import csv

import numpy as np
import pytest

from birdwatch.errors import ConfigError
from birdwatch.evaluation.alignment import Predictions, compare, read_predictions
from birdwatch.evaluation.annotations import Annotation
from birdwatch.tables.detections import DETECTION_COLUMNS

KEYS = {"may/a": "may/a", "a": "may/a", "a.wav": "may/a", "b": "b"}
NAMES = {"x": "x", "great tit": "x", "y": "y"}


def predictions(*rows, lengths=None):
    return Predictions(list(rows), lengths or {"may/a": 15.0, "b": 5.0}, NAMES, KEYS, 5.0)


def test_segments_take_annotations_that_reach_into_them_and_windows_that_lie_in_them_by_half():
    rows = [
        ("may/a", 0.0, 5.0, "x", 0.9, True),
        ("may/a", 2.5, 7.5, "x", 0.6, False),  # half of it in each of the first two
        ("may/a", 10.0, 15.0, "y", 0.7, True),
        ("b", 0.0, 5.0, "y", 0.4, False),
    ]
    truth = [
        Annotation("a.wav", "Great Tit", 4.9, 5.0),  # short: it shares more than half of itself with the first only
        Annotation("a.wav", "x", 9.7, 12.0),
        Annotation("a.wav", "x", 4.0, 5.1),  # 0.1 s in the second is too little
        Annotation("b", "z", 0.0, 1.0),
    ]
    units = compare(predictions(*rows), truth)
    assert units.labels == ["x", "y", "z"]
    b, first, second, third = range(4)  # recordings by name, then time
    assert units.truth[:, 0].tolist() == [False, True, True, True]
    assert units.truth[:, 2].tolist() == [True, False, False, False]
    np.testing.assert_array_equal(units.scores[[first, second, third], 0], [0.9, 0.6, 0])
    np.testing.assert_array_equal(units.claimed[[first, second, third], 0], [True, False, False])
    assert units.scores[third, 1] == 0.7
    assert units.scores[b, 1] == 0.4


def test_labels_without_times_are_compared_by_recording():
    rows = [
        ("may/a", 0.0, 5.0, "x", 0.9, True),
        ("may/a", 5.0, 10.0, "x", 0.2, False),
        ("b", 0.0, 5.0, "x", 0.1, False),
    ]
    units = compare(predictions(*rows), [Annotation("a", "x", None, None)])
    assert units.truth.tolist() == [[True]]
    assert units.scores.tolist() == [[0.9]]
    assert (units.recordings, units.unlabelled, units.unknown) == (1, 1, [])


def test_a_recording_in_which_nothing_was_found_counts_as_one_without_birds():
    rows = [("may/a", 0.0, 5.0, "x", 0.9, True), ("b", 0.0, 5.0, "x", 0.8, True)]
    units = compare(predictions(*rows), [Annotation("a", "x", 0.0, 2.0), Annotation("b", "", None, None)])
    assert units.truth[:, 0].tolist() == [False, True, False, False]
    assert units.claimed[:, 0].tolist() == [True, True, False, False]
    assert units.unlabelled == 0


def test_recordings_that_the_table_lacks_are_said():
    units = compare(predictions(), [Annotation("a", "x", 0, 1), Annotation("c.wav", "x", 0, 1)])
    assert units.unknown == ["c.wav"]
    assert units.truth.shape == (3, 1)
    with pytest.raises(ConfigError, match=r"none of the 1 labelled recordings is in the table; labels name \['c"):
        compare(predictions(), [Annotation("c.wav", "x", 0, 1)])


def table(path, *rows):
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(DETECTION_COLUMNS)
        writer.writerows(rows)
    return path


def test_a_table_of_detections_knows_names_thresholds_and_lengths(tmp_path):
    path = table(
        tmp_path / "d.csv",
        ["may/a", "s/may/a.wav", "", "0", "5", "x", "Great Tit", "Parus major", "0.6", "0.5", "", ""],
        ["may/a", "s/may/a.wav", "", "2.5", "7.5", "x", "Great Tit", "Parus major", "0.4", "0.5", "", ""],
        ["june/a", "s/june/a.wav", "", "0", "5", "x", "Great Tit", "Parus major", "0.4", "0.5", "", ""],
    )
    read = read_predictions(path, None)
    assert [row[5] for row in read.rows] == [True, False, False]
    assert [row[5] for row in read_predictions(path, 0.0).rows] == [True, True, True]
    assert read.names["parus major"] == "x"
    assert read.lengths["may/a"] == 7.5
    assert read.keys["s/may/a.wav"] == "may/a"
    assert "a" not in read.keys  # two recordings could be meant
    assert read.window_s == 5.0


def test_submissions_and_kaggle_tables(tmp_path):
    (tmp_path / "s.csv").write_text("row_id,class_name,presence\na,x,1\na,y,0\n")
    read = read_predictions(tmp_path / "s.csv", None)
    assert read.rows == [("a", None, None, "x", 1.0, True), ("a", None, None, "y", 0.0, False)]
    (tmp_path / "k.csv").write_text("row_id,x,y\na_b_5,0.7,0.1\na_b_10,0.2,0.5\n")
    read = read_predictions(tmp_path / "k.csv", None)
    assert read.rows == [
        ("a_b", 0.0, 5.0, "x", 0.7, True),
        ("a_b", 0.0, 5.0, "y", 0.1, False),
        ("a_b", 5.0, 10.0, "x", 0.2, False),
        ("a_b", 5.0, 10.0, "y", 0.5, True),
    ]
    assert read.lengths["a_b"] == 10.0
    (tmp_path / "bad.csv").write_text("row_id,x\nnonsense,0.7\n")
    with pytest.raises(ConfigError, match="is no submission"):
        read_predictions(tmp_path / "bad.csv", None)
