"""Each form is read back by a public reader of it: pandas, pyarrow, json, crowsetta; else against its own rules."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import crowsetta
import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from tiny_model import LABELS, manifest

from birdwatch.errors import ConfigError, SinkError
from birdwatch.tables.detections import DETECTION_COLUMNS
from birdwatch.tables.formats import Output, choose_outputs, write_output
from birdwatch.tables.result import DETECTIONS, EVENTS, Result, Vocabulary

WORDS = Vocabulary(
    manifest(labels=(replace(LABELS[0], common_name='Tit, "Great"'), *LABELS[1:])),
    np.array([0.5, 0.25, 0.5], np.float32),
)
START_NS = 1715574600 * 10**9  # 2024-05-13T04:30:00Z
RUN = {"parameters": {"hop_s": 2.5}, "recordings": [], "failed": []}
ROWS = [(0, 160000, 0, 0.75), (80000, 240000, 0, 0.5), (80000, 240000, 1, 0.875), (400000, 416000, 2, 1.0)]


def result(name="may/a b", start_utc_ns=START_NS, rows=ROWS, channel=None, pieces=1):
    return Result(
        name,
        Path("season") / f"{name}.wav",
        channel,
        start_utc_ns,
        416000,
        80000,
        1600,
        "",
        np.array([True, True, False]),
        lambda kind: (
            iter(np.array_split(np.array(rows, DETECTIONS), pieces)) if kind == "windows" else iter([events_of(rows)])
        ),
        lambda: iter([np.array([[0.5, 0.25, 0.125]], np.float32)]),
    )


def events_of(rows):
    """Each row as an event of two windows."""
    return np.array([(*row, row[3] / 2, 2) for row in rows], EVENTS)


RESULTS = [result(), result("june/b", None, ROWS[:1], channel=1), result("c", START_NS, [])]


def write(path, form, results=RESULTS, folder=False):
    write_output(Output(path, form, folder), results, WORDS, run=RUN)
    return path


def test_detections_as_pandas_reads_them(tmp_path):
    table = pd.read_csv(write(tmp_path / "d.csv", "detections"), parse_dates=["start", "end"])
    assert tuple(table.columns) == DETECTION_COLUMNS
    assert table["recording"].tolist() == ["may/a b"] * 4 + ["june/b"]
    assert table["common_name"].tolist()[:3] == ['Tit, "Great"', 'Tit, "Great"', "European Robin"]
    assert table["score"].tolist() == [0.75, 0.5, 0.875, 1.0, 0.75]
    assert table["threshold"].tolist() == [0.5, 0.5, 0.25, 0.5, 0.5]
    assert table["start_s"].tolist() == [0, 2.5, 2.5, 12.5, 0]
    assert table["start"][1] == pd.Timestamp("2024-05-13T04:30:02.5Z")
    assert table["end"][3] == pd.Timestamp("2024-05-13T04:30:13Z")
    assert np.isnan(table["channel"][0])
    assert table["channel"][4] == 1
    assert pd.isna(table["start"][4])


def test_json_lines_say_the_same_as_the_csv(tmp_path):
    lines = write(tmp_path / "d.jsonl", "jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    table = pd.read_csv(write(tmp_path / "d.csv", "detections"))
    for row, (_, expected) in zip(rows, table.iterrows(), strict=True):
        assert list(row) == list(DETECTION_COLUMNS)
        for key, value in expected.items():
            assert row[key] == value or (row[key] is None and pd.isna(value))


@pytest.mark.parametrize("pieces", [1, 3])
def test_parquet_says_the_same_as_the_csv_with_types(tmp_path, pieces):
    results = [replace(item, rows=result(rows=ROWS, pieces=pieces).rows) for item in RESULTS[:2]]
    path = write(tmp_path / "d.parquet", "parquet", results)
    table = pd.read_parquet(path)
    expected = pd.read_csv(write(tmp_path / "d.csv", "detections", results), parse_dates=["start", "end"])
    assert tuple(table.columns) == DETECTION_COLUMNS
    for column in ("recording", "path", "label", "common_name", "scientific_name"):
        assert table[column].tolist() == expected[column].tolist()
    for column in ("start_s", "end_s", "score", "threshold"):
        np.testing.assert_allclose(table[column], expected[column], rtol=0, atol=1e-6)
    assert str(table["start"].dtype) == "datetime64[ns, UTC]"
    assert (table["start"].isna() == expected["start"].isna()).all()
    assert (table["end"].dropna() == expected["end"].dropna()).all()
    metadata = pyarrow.parquet.read_schema(path).metadata
    assert json.loads(metadata[b"birdwatch.run"]) == RUN


def test_parquet_is_the_same_bytes_however_the_rows_came(tmp_path):
    many = [(80000 * i, 80000 * i + 160000, i % 3, 0.5) for i in range(70000)]
    one, two = (
        write(tmp_path / f"{pieces}.parquet", "parquet", [result(rows=many, pieces=pieces)]) for pieces in (1, 41)
    )
    assert one.read_bytes() == two.read_bytes()
    table = pyarrow.parquet.ParquetFile(one)
    assert [table.metadata.row_group(i).num_rows for i in range(2)] == [65536, 70000 - 65536]
    assert table.read()["start_s"].to_pylist() == [2.5 * i for i in range(70000)]


def test_no_detection_is_a_table_without_rows(tmp_path):
    assert len(pd.read_parquet(write(tmp_path / "d.parquet", "parquet", RESULTS[2:]))) == 0
    assert len(pd.read_csv(write(tmp_path / "d.csv", "detections", RESULTS[2:]))) == 0
    assert write(tmp_path / "d.jsonl", "jsonl", RESULTS[2:]).read_text() == ""


# crowsetta 5.1 calls pandas in a way that pandas 3.1 calls old.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The inplace keyword")
def test_raven_tables_in_a_folder_as_crowsetta_reads_them(tmp_path):
    folder = write(tmp_path / "raven", "raven", folder=True)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.txt"))
    assert names == ["c.selections.txt", "june/b.selections.txt", "may/a b.selections.txt"]
    boxes = crowsetta.formats.bbox.Raven.from_file(
        folder / "may" / "a b.selections.txt", annot_col="Common Name"
    ).to_bbox()
    assert [(box.onset, box.offset, box.low_freq, box.high_freq, box.label) for box in boxes] == [
        (0.0, 5.0, 50.0, 14000.0, 'Tit, "Great"'),
        (2.5, 7.5, 50.0, 14000.0, 'Tit, "Great"'),
        (2.5, 7.5, 50.0, 14000.0, "European Robin"),
        (12.5, 13.0, 50.0, 14000.0, "Eurasian Blackbird"),
    ]
    first = (folder / "june" / "b.selections.txt").read_text().splitlines()[1].split("\t")
    assert first[:3] == ["1", "Spectrogram 1", "2"]


def test_a_combined_raven_table_runs_on_from_file_to_file(tmp_path):
    twice = [
        RESULTS[1],
        replace(RESULTS[1], channel=0),
        replace(RESULTS[0], rows=result(rows=ROWS[:1]).rows),
    ]
    path = write(tmp_path / "all.selections.txt", "raven", twice)
    table = pd.read_csv(path, sep="\t")
    assert table["Selection"].tolist() == [1, 2, 3]
    # Two channels of one file of 13 s lie at the same time, the next file behind it.
    assert table["Begin Time (s)"].tolist() == [0.0, 0.0, 13.0]
    assert table["File Offset (s)"].tolist() == [0.0, 0.0, 0.0]
    assert [Path(path).name for path in table["Begin Path"]] == ["b.wav", "b.wav", "a b.wav"]
    assert all(Path(path).is_absolute() for path in table["Begin Path"])
    assert table["Begin Clock Time"][2] == "04:30:00.000"
    assert table["Begin Date"][2] == "2024/05/13"


def test_audacity_labels_as_crowsetta_reads_them(tmp_path):
    path = write(tmp_path / "a.labels.txt", "audacity", RESULTS[:1])
    sequence = crowsetta.formats.seq.AudSeq.from_file(path).to_seq()
    np.testing.assert_array_equal(sequence.onsets_s, [0, 2.5, 2.5, 12.5])
    np.testing.assert_array_equal(sequence.offsets_s, [5, 7.5, 7.5, 13])
    assert sequence.labels.tolist()[2] == "European Robin 0.88"


def test_kaleidoscope_columns(tmp_path):
    table = pd.read_csv(write(tmp_path / "k.csv", "kaleidoscope"), dtype=str, keep_default_na=False)
    row = table.iloc[3]
    assert row["INDIR"].endswith("/season")
    assert (row["FOLDER"], row["IN FILE"], row["OFFSET"], row["DURATION"]) == ("may", "a b.wav", "12.500", "0.500")
    assert (row["DATE"], row["TIME"], row["HOUR"]) == ("2024-05-13", "04:30:12", "04")
    assert (row["TOP1MATCH"], row["confidence"], row["MANUAL ID"]) == ("eurbla", "1.0000", "")
    assert table.iloc[4]["DATE"] == ""


def test_the_end_of_a_name_decides_the_form(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    outs = ["a.csv", "b.parquet", "c.jsonl", "d.selections.txt", "e.labels.txt"]
    assert [out.form for out in choose_outputs(outs, [])] == ["submission", "parquet", "jsonl", "raven", "audacity"]
    assert [out.form for out in choose_outputs(["a.csv", "b.parquet"], ["kaggle"])] == ["kaggle", "parquet"]
    assert [out.form for out in choose_outputs(["a.csv", "b.csv"], ["kaggle", "detections"])] == [
        "kaggle",
        "detections",
    ]
    assert choose_outputs(["there"], ["raven"]) == [Output(Path("there"), "raven", folder=True, rows="events")]
    assert choose_outputs(["new/"], ["audacity"]) == [Output(Path("new"), "audacity", folder=True, rows="events")]
    assert choose_outputs(["x.dat"], ["jsonl"]) == [Output(Path("x.dat"), "jsonl")]


@pytest.mark.parametrize(
    ("outs", "formats", "error", "said"),
    [
        (["x.dat"], [], ConfigError, r"x\.dat does not determine its format"),
        (["x.csv", "y.csv", "z.csv"], ["kaggle", "raven"], ConfigError, "2 --format for 3 --out"),
        (["x.csv", "./x.csv"], [], ConfigError, "name the same file"),
        (["there"], [], SinkError, "there is a folder"),
        (["there"], ["jsonl"], SinkError, "jsonl is one table"),
    ],
)
def test_outputs_that_make_no_sense_are_refused(tmp_path, monkeypatch, outs, formats, error, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    with pytest.raises(error, match=said):
        choose_outputs(outs, formats)


def test_audacity_takes_one_recording_a_file(tmp_path):
    with pytest.raises(ConfigError, match=r"2 recordings were given; give a folder"):
        Output(tmp_path / "a.labels.txt", "audacity").check(2)
    Output(tmp_path / "a.labels.txt", "audacity").check(1)
    Output(tmp_path / "folder", "audacity", folder=True).check(2)


def test_without_pyarrow_parquet_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"python\S* -m pip install '.+\[parquet\]', or name"):
        Output(tmp_path / "a.parquet", "parquet").check(1)


def test_rows_may_be_events(tmp_path):
    output = Output(tmp_path / "e.csv", "detections", rows="events")
    write_output(output, RESULTS, WORDS, run=RUN)
    with output.path.open(newline="") as stream:
        found = list(csv.DictReader(stream))
    assert [(row["score"], row["mean_score"], row["windows"]) for row in found] == [
        (f"{row[3]:.6f}", f"{np.float32(row[3] / 2):.6f}", "2") for row in [*ROWS, *ROWS[:1]]
    ]
    lines = Output(tmp_path / "e.jsonl", "jsonl", rows="events")
    write_output(lines, RESULTS, WORDS, run=RUN)
    first = json.loads(lines.path.read_text().splitlines()[0])
    assert (first["windows"], first["mean_score"]) == (2, pytest.approx(ROWS[0][3] / 2))
    table = Output(tmp_path / "e.parquet", "parquet", rows="events")
    write_output(table, RESULTS, WORDS, run=RUN)
    assert pyarrow.parquet.read_table(table.path)["windows"].to_pylist() == [2] * (len(ROWS) + 1)


@pytest.mark.parametrize(
    ("out", "form", "rows", "expected"),
    [
        ("a.csv", "raven", None, "events"),
        ("a.labels.txt", "audacity", None, "events"),
        ("a.csv", "raven", "windows", "windows"),
        ("a.parquet", "parquet", None, "windows"),
        ("a.parquet", "parquet", "events", "events"),
    ],
)
def test_a_table_for_people_has_a_row_per_event(out, form, rows, expected):
    ((output),) = choose_outputs([out], [form], rows)
    assert output.rows == expected
