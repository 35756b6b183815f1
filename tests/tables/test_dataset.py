"""A dataset as DuckDB, polars and Arrow read it, and as birdwatch reads it back, in whole and in small pieces."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pyarrow
import pyarrow.dataset
import pyarrow.parquet
import pytest
from tiny_model import LABELS, manifest

from birdwatch.errors import ConfigError, SinkError
from birdwatch.tables import dataset_reading
from birdwatch.tables.dataset import part_of, recordings_path
from birdwatch.tables.formats import Output, choose_outputs, write_output
from birdwatch.tables.parquet import write_parquet
from birdwatch.tables.reading import open_detections, read_detections
from birdwatch.tables.result import DETECTIONS, EVENTS, Result, Vocabulary

WORDS = Vocabulary(manifest(), np.array([0.5, 0.25, 0.5], np.float32))
MIDNIGHT = 1715558400 * 10**9  # 2024-05-13T00:00:00Z
HOUR = 3600 * 10**9
RATE = 32000
STARTS = {
    "north/a": MIDNIGHT + 4 * HOUR + 123_456_789,
    "south/b": MIDNIGHT + 23 * HOUR,
    "north/c": MIDNIGHT + 5 * HOUR,
    "north/deep/d": MIDNIGHT + 30 * HOUR,
    "e": MIDNIGHT,
    "south/f": None,
    "north/silent": MIDNIGHT + 6 * HOUR,
}
# site=north/date=2024-05-14 before site=south, the first day before the next, and what has no date behind all days.
IN_ORDER = ["e", "north/a", "north/c", "north/silent", "north/deep/d", "south/b", "south/f"]


def rows_of(number, count):
    rng = np.random.default_rng(number)
    rows = np.zeros(count, DETECTIONS)
    rows["start_frame"] = np.sort(rng.integers(0, 1000, count)) * (RATE * 5 // 2)
    rows["end_frame"] = rows["start_frame"] + 5 * RATE
    rows["label"] = rng.integers(0, 3, count)
    rows["score"] = rng.random(count, np.float32)
    return rows


def result(name, start_utc_ns, rows, pieces=1, channel=None):
    def read(kind):
        if kind == "windows":
            return iter(np.array_split(rows, pieces))
        events = np.zeros(len(rows), EVENTS)
        for field in DETECTIONS.names or ():
            events[field] = rows[field]
        events["windows"] = 2
        return iter([events])

    return Result(
        name, Path("season") / f"{name}.wav", channel, start_utc_ns, 3000 * RATE, RATE, 1600, "cut, short",
        np.zeros(3, bool), read, lambda: iter([]),
    )  # fmt: skip


def described(results):
    return {
        "parameters": {"hop_s": 2.5, "model": "tiny"},
        "timezone": "Europe/Berlin",
        "window_s": 5.0,
        "license": "MIT",
        "attribution": None,
        "labels": [[label.code, label.scientific_name, label.common_name] for label in LABELS],
        "recordings": [
            {
                "name": result.name,
                "path": result.path.as_posix(),
                "channel": result.channel,
                "start_utc_ns": result.start_utc_ns,
                "duration_s": result.frames / RATE,
                "silent_s": result.silent_frames / RATE,
                "unscored_s": result.unscored_frames / RATE,
                "warning": result.warning,
            }
            for result in results
        ],
        "failed": [{"path": "x.wav", "reason": "no audio"}],
    }


def season(pieces=1):
    return [
        result(name, start, rows_of(number, 0 if name == "north/silent" else 40 + number), pieces, channel=number % 2)
        for number, (name, start) in enumerate(STARTS.items())
    ]


def write(path, results=None, rows="windows"):
    results = season() if results is None else results
    output = Output(path, "parquet", folder=path.suffix != ".parquet", rows=rows)
    write_output(output, results, WORDS, run=described(results))
    return path


@pytest.fixture
def dataset(tmp_path):
    return write(tmp_path / "detections")


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def expected_rows(results):
    """(recording, label, start_s, score) of everything, by the results themselves."""
    return [
        (item.name, LABELS[row["label"]].code, row["start_frame"] / RATE, float(row["score"]))
        for item in results
        for row in next(item.rows("windows"))
    ]


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


def test_a_failure_leaves_the_old_one(dataset, tmp_path):
    before = files(tmp_path)

    def broken(kind):
        yield rows_of(1, 3)
        raise OSError(28, "No space left on device")

    with pytest.raises(SinkError, match="detections could not be written: No space left on device; nothing there"):
        write(dataset, [*season(), replace(season()[0], name="z/z", rows=broken)])
    assert files(tmp_path) == before
    with pytest.raises(KeyboardInterrupt):
        write(dataset, [replace(season()[0], rows=lambda kind: (_ for _ in ()).throw(KeyboardInterrupt))])
    assert files(tmp_path) == before


def test_what_a_kill_left_is_put_right(dataset, tmp_path):
    before = files(dataset)
    dataset.rename(tmp_path / ".detections.old")
    shutil.copytree(tmp_path / ".detections.old", tmp_path / ".detections.part")
    with pytest.raises(SinkError):
        write(dataset, [replace(season()[0], rows=lambda kind: (_ for _ in ()).throw(OSError(5, "gone")))])
    assert files(dataset) == before
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    "stranger",
    [
        "notes.txt",
        "site=a/notes.txt",
        "site=a/date=b/part-1.parquet",
        "site=a/date=b/c/part-0.parquet",
        "a.wav",
        "deep/x",
    ],
)
def test_a_folder_that_holds_other_files_is_refused(dataset, stranger):
    path = dataset / stranger
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    with pytest.raises(SinkError, match="which is no part of a dataset and would be lost; name a new folder"):
        Output(dataset, "parquet", folder=True).check(1)
    with pytest.raises(SinkError, match="would be lost"):
        write(dataset)
    assert path.read_text() == "mine"


def test_a_dataset_of_another_program_is_refused(dataset):
    recordings_path(dataset).unlink()
    with pytest.raises(SinkError, match=r"holds a dataset without detections\.recordings\.parquet beside it"):
        Output(dataset, "parquet", folder=True).check(1)


def test_places_that_cannot_be_written_are_refused_before_the_work(tmp_path, dataset):
    Output(dataset, "parquet", folder=True).check(1)
    (tmp_path / "empty").mkdir()
    Output(tmp_path / "empty", "parquet", folder=True).check(1)
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="file is a file, and a dataset is a folder"):
        Output(tmp_path / "file", "parquet", folder=True).check(1)
    with pytest.raises(SinkError, match="does not exist; make it first"):
        Output(tmp_path / "no" / "d", "parquet", folder=True).check(1)


def test_two_sites_that_a_file_system_takes_for_one_are_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("birdwatch.tables.dataset.site_of", lambda name: name.partition("/")[0].lower())
    real = part_of
    monkeypatch.setattr("birdwatch.tables.dataset.part_of", lambda site, day: _Cased(real(site, day)))
    with pytest.raises(SinkError, match="File exists"):
        write(tmp_path / "d", [result("North/a", 0, rows_of(1, 3)), result("north/a", 0, rows_of(2, 3))])


class _Cased(type(part_of("a", None))):  # type: ignore[misc]
    """Two equal paths that are told apart, as North and north are on a file system that takes them for one."""

    def __eq__(self, other):
        return self is other

    def __hash__(self):
        return id(self)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda folder: shutil.rmtree(folder / "site=south"),
            "site=south/date=2024-05-13/part-0.parquet is listed and",
        ),
        (
            lambda folder: shutil.copytree(folder / "site=south", folder / "site=west"),
            "site=west/date=2024-05-13/part-0.parquet is there and not listed",
        ),
        (
            lambda folder: shutil.copy(
                folder / "site=-" / "date=2024-05-13" / "part-0.parquet",
                folder / "site=north" / "date=2024-05-13" / "part-0.parquet",
            ),
            "has 44 rows, and 82 are listed in detections.recordings.parquet; copy the folder and",
        ),
        (lambda folder: recordings_path(folder).unlink(), r"a folder without detections.recordings.parquet beside it"),
        (lambda folder: recordings_path(folder).write_text("x"), "recordings.parquet is not Parquet"),
        (
            lambda folder: shutil.copy(
                folder / "site=-" / "date=2024-05-13" / "part-0.parquet", recordings_path(folder)
            ),
            "detections.recordings.parquet lacks the columns site, date",
        ),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(dataset, spoil, said):
    spoil(dataset)
    with pytest.raises(ConfigError, match=said):
        read_detections(dataset)
    with pytest.raises(ConfigError, match=said):
        list(open_detections(dataset).columns())


@pytest.mark.parametrize("name", ["detections/site=-/date=2024-05-13/part-0.parquet", "detections.recordings.parquet"])
def test_damaged_files_are_one_clear_error(dataset, tmp_path, name):
    data = bytearray((tmp_path / name).read_bytes())
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    for place in range(4, footer, 7):
        data[place] ^= 255
    (tmp_path / name).write_bytes(data)
    for read in (read_detections, lambda path: list(open_detections(path).columns())):
        with pytest.raises(
            ConfigError, match=r"parquet cannot be read \(.+\); copy it again, or write it again"
        ) as said:
            read(dataset)
        assert "\n" not in str(said.value)


def test_rows_in_another_order_are_no_rows_of_other_recordings(dataset):
    path = dataset / "site=north" / "date=2024-05-13" / "part-0.parquet"
    expected = Counter(row.recording for row in read_detections(dataset).rows)
    table = pyarrow.parquet.read_table(path, partitioning=None)
    pyarrow.parquet.write_table(table.sort_by([("score", "descending")]), path)
    assert Counter(row.recording for row in read_detections(dataset).rows) == expected
    with pytest.raises(ConfigError, match="its rows are not in the order of the recordings"):
        list(open_detections(dataset).columns())


def test_parts_that_another_tool_wrote_again_are_read(dataset):
    expected = read_detections(dataset).rows
    for path in dataset.rglob("*.parquet"):
        table = pyarrow.parquet.read_table(path, partitioning=None)
        plain = pyarrow.schema(
            field.with_type(pyarrow.string()) if pyarrow.types.is_dictionary(field.type) else field
            for field in table.schema
        )
        pyarrow.parquet.write_table(table.cast(plain), path, row_group_size=10)
    assert read_detections(dataset).rows == expected
    chunks = list(open_detections(dataset).columns(0.0))
    assert [chunk.row(n) for chunk in chunks for n in range(len(chunk.label))] == expected


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
