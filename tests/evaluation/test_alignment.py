from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

from birdwatch.errors import ConfigError
from birdwatch.evaluation.alignment import compare
from birdwatch.evaluation.annotations import Annotation
from birdwatch.evaluation.class_names import ClassNames
from birdwatch.evaluation.predictions import PredictedRow, Predictions, read_predictions
from birdwatch.tables.detections import DETECTION_COLUMNS

KEYS = {"may/a": "may/a", "a": "may/a", "a.wav": "may/a", "b": "b"}
NAMES = ClassNames.of([("x", "Parus major", "Great Tit"), ("y", "", "")], complete=True)


def predictions(*rows, lengths=None):
    return Predictions([PredictedRow(*row) for row in rows], lengths or {"may/a": 15.0, "b": 5.0}, NAMES, KEYS, 5.0)


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
    with pytest.raises(ConfigError, match=r"a label matches no class: 'z'\."):
        compare(predictions(*rows), truth)
    assert compare(predictions(*rows), truth, unknown_labels="ignore").ignored == {"z": 1}
    units = compare(predictions(*rows), truth, unknown_labels="missed")
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
    assert read.names.resolve("parus major") == "x"
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


@pytest.mark.parametrize(("at_s", "segment"), [(0.0, 0), (5.0, 1), (9.999, 1), (10.0, 2), (15.0, 2)])
def test_a_point_on_a_boundary_lies_in_the_segment_that_begins_there(at_s, segment):
    units = compare(predictions(), [Annotation("a", "x", at_s, at_s)])
    assert np.flatnonzero(units.truth[:, 0]).tolist() == [segment]


def test_an_event_counts_in_the_segments_that_it_fills():
    units = compare(predictions(("may/a", 2.5, 15.0, "x", 0.9, True)), [Annotation("a", "x", 0, 1)])
    assert units.claimed[:, 0].tolist() == [True, True, True]
    units = compare(predictions(("may/a", 3.0, 11.0, "x", 0.9, True)), [Annotation("a", "x", 0, 1)])
    assert units.claimed[:, 0].tolist() == [False, True, False]


def test_labels_that_match_no_class_are_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"'Greet Tit' \(did you mean 'Great Tit'\?\)"):
        compare(predictions(), [Annotation("a", "Greet Tit", 0, 1)])


def test_a_row_whose_names_disagree_is_refused():
    with pytest.raises(ConfigError, match="names two classes: 'y' is y but 'Great Tit' is x"):
        compare(predictions(), [Annotation("a", "y", 0, 1, ("Great Tit",))])


def test_a_time_beyond_the_end_of_a_recording_is_refused():
    table = replace(predictions(), exact_lengths=True)
    compare(table, [Annotation("a", "x", 14, 15.2)])
    with pytest.raises(ConfigError, match=r"'x' of a ends at 40000 s, the recording has 15 s"):
        compare(table, [Annotation("a", "x", 0, 40000.0)])


def test_recordings_that_a_table_of_detections_lacks_may_have_been_scored():
    table = replace(predictions(), lists_recordings=False)
    truth = [Annotation("a", "x", 0, 1), Annotation("c.wav", "x", 0, 1)]
    with pytest.raises(ConfigError, match=r"not in the table: c\.wav.*--unknown-recordings missed"):
        compare(table, truth)
    missed = compare(table, truth, unknown_recordings="missed")
    assert (missed.recordings, missed.truth[:, 0].tolist()) == (2, [True, True, False, False])
    assert compare(table, truth, unknown_recordings="ignore").recordings == 1


def test_another_folder_of_the_same_name_is_another_recording():
    units = compare(predictions(), [Annotation("may/a", "x", 0, 1), Annotation("june/a", "x", 5, 6)])
    assert units.unknown == ["june/a"]
    assert units.truth[:, 0].tolist() == [True, False, False]


def test_labels_after_the_last_row_are_counted_where_lengths_are_unknown():
    rows = [("may/a", 0.0, 5.0, "x", 0.9, True), ("b", 0.0, 5.0, "x", 0.9, True)]
    truth = [
        Annotation("a", "x", 14_900.0, 17_000.0),
        Annotation("a", "x", 15.0, 16.0),
        Annotation("b", "y", 4.9, 9.0),
        Annotation("b", "", None, None),
    ]
    units = compare(predictions(*rows), truth)
    assert (units.late, units.timed) == (2, 3)
    known = replace(predictions(*rows, lengths={"may/a": 20_000.0, "b": 9.0}), exact_lengths=True)
    assert compare(known, truth).late == 0
