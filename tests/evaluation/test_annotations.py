from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from birdwatch.errors import ConfigError
from birdwatch.evaluation.annotations import Annotation, read_truth

RAVEN = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tSpecies\n"
    "1\tWaveform 1\t1\t0.5\t1.25\t0\t9000\teurrob1\n1\tSpectrogram 1\t1\t0.5\t1.25\t0\t9000\teurrob1\n"
    "2\tSpectrogram 1\t1\t7\t8\t0\t9000\t\n"
)


def test_a_folder_of_raven_tables_names_the_recordings_by_the_files(tmp_path):
    (tmp_path / "may").mkdir()
    (tmp_path / "may" / "a.Table.1.selections.txt").write_text(RAVEN)
    (tmp_path / "b.selections.txt").write_text(RAVEN.replace("eurrob1", "gretit1"))
    (tmp_path / "empty.selections.txt").write_text(RAVEN.splitlines()[0] + "\n")
    found = read_truth(tmp_path)
    assert {item for item in found if item.label} == {
        Annotation("b", "gretit1", 0.5, 1.25),
        Annotation("may/a", "eurrob1", 0.5, 1.25),
    }
    assert Annotation("empty", "", None, None) in found  # annotated, and nothing was there


def test_a_combined_raven_table_is_read_on_each_files_own_clock(tmp_path):
    path = tmp_path / "all.txt"
    path.write_text(
        "Selection\tBegin Time (s)\tEnd Time (s)\tBegin Path\tFile Offset (s)\tCommon Name\n"
        "1\t100.5\t103.0\t/disk/b.wav\t40.5\tGreat Tit\n"
    )
    assert read_truth(path) == [Annotation("/disk/b.wav", "Great Tit", 40.5, 43.0)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("filename,start_s,end_s,label\na.wav,1,2.5,x\n", Annotation("a.wav", "x", 1.0, 2.5)),
        ("primary_label,filename,rating\nx,x/XC1.ogg,4\n", Annotation("x/XC1.ogg", "x", None, None)),
        ("\ufeffRecording,Species,Start,End\na,x,,\n", Annotation("a", "x", None, None)),
    ],
)
def test_csv_columns_under_the_names_that_people_give_them(tmp_path, text, expected):
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    assert read_truth(tmp_path / "t.csv") == [expected]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("filename,start\na,1\n", "have no column for a label"),
        ("label,start\nx,1\n", "have no column for the recording"),
        ("filename,label,start,end\na,x,early,2\n", "line 2: start is 'early', expected seconds"),
        ("", "are empty and have no column for a label"),
    ],
)
def test_labels_that_cannot_be_read_say_why(tmp_path, text, said):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_truth(tmp_path / "t.csv")


def test_folders_without_tables_and_missing_files_say_so(tmp_path):
    with pytest.raises(ConfigError, match="holds no Raven selection table"):
        read_truth(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_truth(tmp_path / "none.csv")


def test_labels_may_come_through_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "labels.csv")
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit((tmp_path / "labels.csv").write_text, "recording,label,start_s,end_s\na,x,0,5\n")
        assert read_truth(tmp_path / "labels.csv") == [Annotation("a", "x", 0.0, 5.0)]
        sent.result()
