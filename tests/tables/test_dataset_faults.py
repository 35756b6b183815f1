"""Datasets that were not written whole, that another program made or that were changed."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace

import pyarrow
import pyarrow.dataset
import pyarrow.parquet
import pytest
from dataset_season import (
    files,
    result,
    rows_of,
    season,
    write,
)

from birdwatch.errors import ConfigError, SinkError
from birdwatch.tables.dataset import part_of, recordings_path
from birdwatch.tables.formats import Output
from birdwatch.tables.reading import open_detections, read_detections


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
