"""A dataset as DuckDB, polars and Arrow read it, and as birdwatch reads it back, in whole and in small pieces."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

import duckdb
import pyarrow
import pyarrow.dataset
import pyarrow.parquet
import pytest
from dataset_season import (
    HOUR,
    IN_ORDER,
    STARTS,
    WORDS,
    described,
    expected_rows,
    files,
    result,
    rows_of,
    season,
    write,
)

from birdwatch.tables import dataset_reading
from birdwatch.tables.dataset import part_of, recordings_path
from birdwatch.tables.formats import Output, choose_outputs
from birdwatch.tables.parquet import write_parquet
from birdwatch.tables.reading import open_detections, read_detections


def test_the_folder_is_partitioned_by_site_and_day(dataset, tmp_path):
    assert sorted(files(tmp_path)) == [
        "detections.recordings.parquet",
        "detections/site=-/date=2024-05-13/part-0.parquet",
        "detections/site=north/date=2024-05-13/part-0.parquet",
        "detections/site=north/date=2024-05-14/part-0.parquet",
        "detections/site=south/date=2024-05-13/part-0.parquet",
        "detections/site=south/date=__HIVE_DEFAULT_PARTITION__/part-0.parquet",
    ]


def test_duckdb_reads_it_as_one_table(dataset):
    found = duckdb.sql(f"SELECT site, date, recording, label, start_s, score, start FROM '{dataset}/**/*.parquet'")
    assert dict(zip(found.columns, map(str, found.types), strict=True)) == {
        "site": "VARCHAR", "date": "DATE", "recording": "VARCHAR", "label": "VARCHAR", "start_s": "DOUBLE",
        "score": "FLOAT", "start": "TIMESTAMP WITH TIME ZONE",
    }  # fmt: skip
    rows = found.fetchall()
    assert Counter(row[2:6] for row in rows) == Counter(expected_rows(season()))
    for site, day, recording, _, start_s, _, start in rows:
        assert site == (recording.split("/")[0] if "/" in recording else "-")
        began = STARTS[recording]
        assert (day is None) == (start is None) == (began is None)
        if began is not None:
            assert day == date(2024, 5, 14 if recording == "north/deep/d" else 13)
            assert start.timestamp() * 1e6 == pytest.approx(began // 1000 + start_s * 1e6, abs=1)


def test_arrow_reads_it_as_one_table(dataset):
    table = pyarrow.dataset.dataset(dataset, partitioning="hive").to_table()
    rows = zip(*(table[name].to_pylist() for name in ("recording", "label", "start_s", "score")), strict=True)
    assert Counter(rows) == Counter(expected_rows(season()))
    assert table.schema.field("start").type == pyarrow.timestamp("us", tz="UTC")


def test_polars_reads_it_as_one_table(dataset):
    polars = pytest.importorskip("polars", reason="polars is not installed")
    table = polars.scan_parquet(dataset).select("recording", "label", "start_s", "score", "date").collect()
    assert Counter(row[:4] for row in table.rows()) == Counter(expected_rows(season()))
    assert table.schema["date"] == polars.Date


def test_names_of_sites_survive_hive(tmp_path):
    sites = ["a b", "ö=ü", "100%", "x:y?*[1]", "A+B", "e'é\"", "~", "_u", "tab\tend", "back\\slash", "{1}|<2>", "#"]
    folder = write(tmp_path / "detections", [result(f"{site}/r", 0, rows_of(1, 3)) for site in sites])
    found = duckdb.sql(f"SELECT site, recording FROM '{folder}/**/*.parquet'").fetchall()
    assert {(site, recording) for site, recording in found} == {(site, f"{site}/r") for site in sites}
    table = pyarrow.dataset.dataset(folder, partitioning="hive").to_table()
    assert set(table["site"].to_pylist()) == set(sites)
    assert sorted(row.recording for row in read_detections(folder).rows) == sorted(
        f"{s}/r" for s in sites for _ in "123"
    )
    assert len(str(part_of("ö" * 200, None).parts[0]).encode()) <= 255


def test_recordings_have_their_seconds_and_rows(dataset):
    listed = recordings_path(dataset)
    rows = duckdb.sql(f"SELECT * FROM '{listed}'").fetchall()
    names = [row[2] for row in rows]
    assert names == IN_ORDER
    table = pyarrow.parquet.read_table(listed)
    assert table["rows"].to_pylist() == [0 if n == "north/silent" else 40 + list(STARTS).index(n) for n in IN_ORDER]
    assert set(table["duration_s"].to_pylist()) == {3000.0}
    assert set(table["silent_s"].to_pylist()) == {1.0}
    assert set(table["unscored_s"].to_pylist()) == {0.05}
    assert set(table["warning"].to_pylist()) == {"cut, short"}
    run = json.loads(table.schema.metadata[b"birdwatch.run"])
    assert run == {key: value for key, value in described(season()).items() if key != "recordings"}


def test_no_part_lists_recordings_or_all_names(dataset):
    for path in dataset.rglob("*.parquet"):
        run = json.loads(pyarrow.parquet.read_schema(path).metadata[b"birdwatch.run"])
        assert run.keys() == {"parameters", "timezone", "window_s", "license", "attribution"}
    few = next(iter(dataset.glob("site=north/date=2024-05-14/*.parquet")))
    names = pyarrow.parquet.read_table(few)["label"].chunk(0).dictionary.to_pylist()
    assert set(names) == {row.label for row in read_detections(dataset).rows if row.recording == "north/deep/d"}


def test_birdwatch_reads_what_a_table_of_the_same_run_says(dataset, tmp_path):
    by_name = {item.name: item for item in season()}
    table = read_detections(write(tmp_path / "d.parquet", [by_name[name] for name in IN_ORDER]))
    found = read_detections(dataset)
    started = [None if row.start_utc_ns is None else row.start_utc_ns // 1000 * 1000 for row in table.rows]
    assert found.rows == [replace(row, start_utc_ns=start) for row, start in zip(table.rows, started, strict=True)]
    assert found.timezone == table.timezone
    assert {key: value for key, value in found.run.items() if key != "recordings"} == {
        key: value for key, value in table.run.items() if key != "recordings"
    }
    for mine, theirs in zip(found.run["recordings"], table.run["recordings"], strict=True):
        expected = dict(theirs)
        expected["start_utc_ns"] = None if theirs["start_utc_ns"] is None else theirs["start_utc_ns"] // 1000 * 1000
        assert {key: mine[key] for key in expected} == expected


def test_events_have_their_windows(tmp_path):
    folder = write(tmp_path / "events", rows="events")
    assert {row.windows for row in read_detections(folder).rows} == {2}
    assert duckdb.sql(f"SELECT DISTINCT windows FROM '{folder}/**/*.parquet'").fetchall() == [(2,)]


@pytest.mark.parametrize("batch", [1, 7, 64, 1 << 16])
@pytest.mark.parametrize("min_score", [None, 0.0, 0.9, 2.0])
def test_columns_hold_every_row_once_and_recordings_whole(dataset, monkeypatch, batch, min_score):
    monkeypatch.setattr(dataset_reading, "BATCH", batch)
    expected = [
        row for row in read_detections(dataset).rows if row.score >= (row.threshold if min_score is None else min_score)
    ]
    found, seen = [], set()
    for chunk in open_detections(dataset).columns(min_score):
        rows = [chunk.row(number) for number in range(len(chunk.label))]
        assert [chunk.labels[number] for number in chunk.label] == [row.label for row in rows]
        assert chunk.score.tolist() == [row.score for row in rows]
        assert chunk.start_s.tolist() == [row.start_s for row in rows]
        assert chunk.dated.tolist() == [row.start_utc_ns is not None for row in rows]
        assert [ns for ns, known in zip(chunk.start_utc_ns.tolist(), chunk.dated, strict=True) if known] == [
            row.start_utc_ns for row in rows if row.start_utc_ns is not None
        ]
        names = {row.recording for row in rows}
        assert len(set(chunk.recording.tolist())) == len(names)
        assert not names & seen
        seen |= names
        found += rows
    assert found == expected


def test_the_bytes_do_not_depend_on_how_rows_came_or_on_the_clock(tmp_path):
    one, two = write(tmp_path / "one"), tmp_path / "two"
    before = time.time_ns()
    write(two, season(pieces=9))
    assert time.time_ns() > before
    assert files(one) == files(two)
    assert recordings_path(one).read_bytes() == recordings_path(two).read_bytes()


@pytest.mark.slow
def test_one_file_is_open_at_a_time_and_rows_are_not_gathered(tmp_path, monkeypatch):
    most: list[int] = []
    real = pyarrow.parquet.ParquetWriter.__init__

    def opened(self, stream, *arguments, **options):
        inside = [name for name in open_now if not name.closed]
        most.append(len(inside))
        open_now.append(stream)
        real(self, stream, *arguments, **options)

    open_now: list = []
    monkeypatch.setattr(pyarrow.parquet.ParquetWriter, "__init__", opened)
    write(tmp_path / "detections", [result(f"s{n % 50}/r{n}", n * HOUR, rows_of(n, 5)) for n in range(300)])
    assert len(most) > 250
    assert set(most[:-1]) == {0}


def test_a_new_dataset_replaces_the_old_one_whole(dataset):
    write(dataset, season()[:1])
    assert sorted(files(dataset)) == ["site=north/date=2024-05-13/part-0.parquet"]
    assert [row.recording for row in read_detections(dataset).rows] == ["north/a"] * 40
    assert sorted(path.name for path in dataset.parent.iterdir()) == ["detections", "detections.recordings.parquet"]


def test_no_recording_at_all_is_an_empty_dataset(tmp_path):
    folder = write(tmp_path / "none", [])
    found = read_detections(folder)
    assert (found.rows, found.run["recordings"]) == ([], [])
    assert list(open_detections(folder).columns()) == []


def test_no_detection_still_gives_readers_a_table(tmp_path):
    folder = write(tmp_path / "silent", [result("north/a", 0, rows_of(1, 0))])
    assert duckdb.sql(f"SELECT count(*) FROM '{folder}/**/*.parquet'").fetchall() == [(0,)]
    assert list(open_detections(folder).columns()) == []


def test_a_folder_with_format_parquet_is_a_dataset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    assert choose_outputs(["new/", "there"], ["parquet"]) == [
        Output(Path("new"), "parquet", folder=True),
        Output(Path("there"), "parquet", folder=True),
    ]
    assert choose_outputs(["one.parquet"], ["parquet"]) == [Output(Path("one.parquet"), "parquet")]


def test_a_part_is_a_table_of_its_rows_with_times_that_spark_reads(tmp_path):
    whole, part = tmp_path / "whole.parquet", tmp_path / "part.parquet"
    for path, is_part in ((whole, False), (part, True)):
        with path.open("wb") as stream:
            write_parquet(stream, season(), WORDS, {}, part=is_part)
    one, two = pyarrow.parquet.read_table(whole), pyarrow.parquet.read_table(part)
    assert (one.schema.field("start").type.unit, two.schema.field("start").type.unit) == ("ns", "us")
    microseconds = [value // 1000 for value in one["end"].cast(pyarrow.int64()).drop_null().to_pylist()]
    assert two["end"].cast(pyarrow.int64()).drop_null().to_pylist() == microseconds
    for name in one.schema.names:
        if name not in ("start", "end"):
            assert one[name].to_pylist() == two[name].to_pylist()
