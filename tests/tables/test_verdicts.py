"""A column that says that a label is wrong, in the words of the field: such labels are no ground truth."""

from __future__ import annotations

import pytest

from birdwatch.errors import ConfigError
from birdwatch.evaluation.annotations import Annotation, read_truth

WREN = Annotation("b.wav", "Wren", 3.0, 6.0)


def read(tmp_path, text, name="t.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_truth(path)


def csv(column, first, second="yes"):
    return f"recording,start_s,end_s,label,{column}\na.wav,0,3,Great Tit,{first}\nb.wav,3,6,Wren,{second}\n"


@pytest.mark.parametrize(
    "column",
    [
        *("validated", "Validated?", "is_valid", "verified", "Manual verification", "validation_status", "confirmed"),
        *("correct", "is_correct", "Correct (y/n)", "verdict", "true_positive", "TP", "presence", "ground_truth"),
    ],
)
@pytest.mark.parametrize(("no", "yes"), [("no", "yes"), ("FALSE", "TRUE"), ("0", "1"), ("n", "Y"), ("0.0", "1.0")])
def test_a_label_that_was_turned_down_says_that_it_is_not_there(tmp_path, column, no, yes):
    assert read(tmp_path, csv(column, no, yes)) == [Annotation("a.wav", "", 0.0, 3.0), WREN]


@pytest.mark.parametrize(
    ("no", "yes"),
    [("false_positive", "correct"), ("wrong", "right"), ("Rejected", "Accepted"), ("FP", "TP"), ("nein", "ja")],
)
def test_words_of_the_field(tmp_path, no, yes):
    assert read(tmp_path, csv("verdict", no, yes)) == [Annotation("a.wav", "", 0.0, 3.0), WREN]


@pytest.mark.parametrize("column", ["false_positive", "rejected", "Deleted", "absent", "is_wrong"])
@pytest.mark.parametrize(("wrong", "fine"), [("yes", "no"), ("1", "0"), ("x", "")])
def test_columns_that_turn_down(tmp_path, column, wrong, fine):
    assert read(tmp_path, csv(column, wrong, fine)) == [Annotation("a.wav", "", 0.0, 3.0), WREN]


@pytest.mark.parametrize("column", ["count", "abundance", "Individuals"])
def test_none_counted_is_none_there(tmp_path, column):
    assert read(tmp_path, csv(column, "0", "3")) == [Annotation("a.wav", "", 0.0, 3.0), WREN]


@pytest.mark.parametrize(
    ("column", "cell", "said"),
    [
        ("validated", "", "line 2: validated is '', expected yes or no"),
        ("validated", "maybe", "line 2: validated is 'maybe', expected yes or no"),
        ("verified", "unverified", "line 2: verified is 'unverified', expected yes or no"),
        ("correct", "Blue Tit", "line 2: correct is 'Blue Tit', expected yes or no"),
        ("verdict", "NA", "line 2: verdict is 'NA', expected yes or no"),
        ("rejected", "?", "line 2: rejected is .?., expected yes or no"),
        ("reviewed", "no", "line 2: reviewed is 'no', so the label is not confirmed; review it"),
        ("status", "False positive", "line 2: status is 'False positive', whose meaning for the label is not known"),
        ("notes", "wrong", "line 2: notes is 'wrong', whose meaning for the label is not known"),
    ],
)
def test_what_says_neither_is_refused(tmp_path, column, cell, said):
    with pytest.raises(ConfigError, match=said.replace("?", r"\?")):
        read(tmp_path, csv(column, cell))


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        *(("status", "adult"), ("notes", "no wind"), ("quality", "0"), ("rating", "0"), ("confidence", "0.1")),
        *(("verified_by", "no"), ("Review orig", "1"), ("type", "song"), ("reviewed", "yes"), ("n", "0")),
    ],
)
def test_other_columns_say_nothing_of_the_label(tmp_path, column, cell):
    assert read(tmp_path, csv(column, cell))[0] == Annotation("a.wav", "Great Tit", 0.0, 3.0)


def test_in_ravens_tables(tmp_path):
    text = "Selection\tBegin Time (s)\tEnd Time (s)\tSpecies\tValidated\n1\t0\t3\tGreat Tit\tno\n2\t3\t6\tWren\tyes\n"
    assert read(tmp_path, text, "b.txt") == [Annotation("b", "", 0.0, 3.0), Annotation("b", "Wren", 3.0, 6.0)]


def test_in_kaleidoscopes_tables(tmp_path):
    heading = "FOLDER,IN FILE,OFFSET,DURATION,MANUAL ID,Validated\n"
    text = f"{heading}f,a.wav,0,3,Great Tit,no\nf,b.wav,3,3,Wren,yes\n"
    assert read(tmp_path, text) == [Annotation("f/a.wav", "", 0.0, 3.0), Annotation("f/b.wav", "Wren", 3.0, 6.0)]
    text = "FOLDER,IN FILE,OFFSET,DURATION,common_name,Validated\nf,a.wav,0,3,Great Tit,no\nf,b.wav,3,3,Wren,yes\n"
    assert read(tmp_path, text) == [Annotation("f/a.wav", "", 0.0, 3.0), Annotation("f/b.wav", "Wren", 3.0, 6.0)]


def test_background_species_of_a_row_that_was_turned_down_are_not_taken(tmp_path):
    text = "filename,primary_label,secondary_labels,valid\na.ogg,gretit1,['eurrob1'],no\n"
    assert read(tmp_path, text) == [Annotation("a.ogg", "", None, None)]
