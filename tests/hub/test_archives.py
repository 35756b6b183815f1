"""Archives of other projects and of `birdwatch run` into the store, and the store's events out of it again."""

from __future__ import annotations

import csv
import sqlite3
import zipfile
from contextlib import closing
from datetime import UTC
from pathlib import Path
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from click.testing import CliRunner
from sqlalchemy import text
from tiny_model import manifest

from birdwatch.batch.results import describe_run
from birdwatch.cli.hub import hub as command
from birdwatch.errors import SourceError
from birdwatch.hub.event_views import review
from birdwatch.hub.exporting import FORMATS, Choice, export
from birdwatch.hub.importing import import_archive
from birdwatch.hub.store import Store
from birdwatch.tables.formats import Output, write_output
from birdwatch.tables.result import DETECTIONS, Result, Vocabulary

BERLIN = ZoneInfo("Europe/Berlin")
VOCABULARY = Vocabulary(manifest(), np.full(3, 0.5, np.float32))


def recording(name: str, start_utc_ns: int | None) -> Result:
    """Ten minutes with a hundred detections."""
    found = np.zeros(100, DETECTIONS)
    found["start_frame"] = np.arange(100) * 160000
    found["end_frame"] = found["start_frame"] + 160000
    found["label"], found["score"] = np.arange(100) % 3, 0.75
    nothing = np.zeros(3, bool)
    path = Path(f"{name}.wav")
    return Result(
        name, path, None, start_utc_ns, 19200000, 0, 0, "", nothing, lambda kind: iter([found]), lambda: iter(())
    )


SEASON = [
    recording("wood/b", 1_714_529_523_123_456_789),
    recording("pond/a", 1_714_615_923_000_000_000),
    recording("pond/undated", None),
]


def birdnet_pi(path: Path, rows: list[tuple]) -> Path:  # type: ignore[type-arg]
    """By the schema of BirdNET-Pi's scripts/createdb.sh."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE detections (Date DATE, Time TIME, Sci_Name VARCHAR(100) NOT NULL, "
            "Com_Name VARCHAR(100) NOT NULL, Confidence FLOAT, Lat FLOAT, "
            "Lon FLOAT, Cutoff FLOAT, Week INT, Sens FLOAT, Overlap FLOAT, "
            "File_Name VARCHAR(100) NOT NULL)"
        )
        database.executemany("INSERT INTO detections VALUES (?,?,?,?,?,52.5,13.4,0.7,20,1.25,0,?)", rows)
    return path


def birdnet_go(path: Path) -> Path:
    """By the model of BirdNET-Go's datastore."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE notes (id integer PRIMARY KEY, source_node text, date text, time text, begin_time datetime, "
            "end_time datetime, species_code text, scientific_name text, common_name text, confidence real, latitude "
            "real, longitude real, threshold real, sensitivity real, clip_name text, processing_time integer)"
        )
        database.execute("CREATE TABLE note_reviews (id integer PRIMARY KEY, note_id integer, verified text)")
        row = "INSERT INTO notes VALUES (?,'node',?,?,?,?,?,?,?,?,52,13,0.8,1,'c.wav',1)"
        times = ("2025-05-01 06:12:03.5+02:00", "2025-05-01 06:12:09.5+02:00")
        database.execute(
            row, (1, "2025-05-01", "06:12:05", *times, "eurrob1", "Erithacus rubecula", "European Robin", 0.9)
        )
        database.execute(row, (2, "2025-05-01", "06:13:00", None, None, "eurbla", "Turdus merula", "Blackbird", 0.8))
        database.execute(row, (3, "2025-05-01", "25:13:00", None, None, "eurbla", "Turdus merula", "Blackbird", 0.8))
        database.execute("INSERT INTO note_reviews VALUES (1, 2, 'false_positive'), (2, 1, 'correct')")
    return path


PI_ROWS = [
    ("2024-05-01", "04:12:03", "Erithacus rubecula", "European Robin", 0.91, "a.mp3"),
    ("2024-05-01", "05:12:03", "Erithacus rubecula", "European Robin", 0.81, "b.mp3"),
    ("2024-12-01", "05:12:03", "Parus major", "Great Tit", 0.71, "c.mp3"),
]


def rows(store: Store, query: str) -> list[tuple]:  # type: ignore[type-arg]
    with store.reading() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_birdnet_pi_is_taken_in_once_in_its_own_time(tmp_path, store):
    path = birdnet_pi(tmp_path / "birds.db", [*PI_ROWS, ("2024-05-01", "x", "Parus major", "Great Tit", 0.7, "d")])
    done = import_archive(store, path, station="pi", where=BERLIN)
    assert (done.new, done.known, len(done.left_out)) == (3, 0, 1)
    again = import_archive(store, path, station="pi", where=BERLIN)
    assert (again.new, again.known) == (0, 3)
    starts = [row[0] for row in rows(store, "SELECT start_ms FROM events ORDER BY id")]
    assert starts == [1_714_529_523_000, 1_714_533_123_000, 1_733_026_323_000]
    assert rows(store, "SELECT sum(events) FROM species_stations") == [(3,)]


def test_birdnet_go_keeps_its_reviews(tmp_path, store):
    done = import_archive(store, birdnet_go(tmp_path / "birdnet.db"), station="go", where=BERLIN)
    assert (done.new, len(done.left_out)) == (2, 1)
    found = rows(
        store,
        "SELECT scientific, start_ms, end_ms - start_ms, verdict "
        "FROM events JOIN species ON species.id = species ORDER BY start_ms",
    )
    assert found == [
        ("Erithacus rubecula", 1_746_072_723_500, 6000, "right"),
        ("Turdus merula", 1_746_072_780_000, 3000, "wrong"),
    ]


def test_a_dataset_gives_the_events_of_the_table_of_its_run(tmp_path, store):
    pytest.importorskip("pyarrow.parquet")
    outputs = [Output(tmp_path / "d.parquet", "parquet"), Output(tmp_path / "season", "parquet", folder=True)]
    found = []
    for number, output in enumerate(outputs):
        write_output(output, SEASON, VOCABULARY, run=describe_run(SEASON, [], VOCABULARY, {}))
        done = import_archive(store, output.path, station=f"s{number}", where=UTC)
        assert (done.new, done.known, len(done.left_out)) == (200, 0, 1)
        again = import_archive(store, output.path, station=f"s{number}", where=UTC)
        assert (again.new, again.known) == (0, 200)
        one = f"WHERE station = (SELECT id FROM stations WHERE name = 's{number}')"
        events = rows(store, f"SELECT uid, species, start_ms, end_ms, score FROM events {one} ORDER BY uid")
        found.append((events, rows(store, f"SELECT hour, seconds FROM listened {one} ORDER BY hour")))
    assert found[0] == found[1]
    assert sum(seconds for _, seconds in found[0][1]) == pytest.approx(2 * 600)


def test_what_is_no_archive_is_said(tmp_path, store):
    path = tmp_path / "x.db"
    path.write_bytes(b"rubbish" * 99)
    with pytest.raises(SourceError, match="cannot be read as a database"):
        import_archive(store, path, station="x", where=UTC)
    sqlite3.connect(tmp_path / "empty.db").close()
    with pytest.raises(SourceError, match="neither the table"):
        import_archive(store, tmp_path / "empty.db", station="x", where=UTC)


@pytest.fixture
def filled(tmp_path, store):
    import_archive(store, birdnet_pi(tmp_path / "birds.db", PI_ROWS), station="pi", where=BERLIN)
    review(store, 1, verdict="right", code=None, by="Ann", now_ms=1)
    review(store, 2, verdict="wrong", code=None, by="Ann", now_ms=1)
    return store


def choice(**more: object) -> Choice:
    named: dict[str, object] = {"from_ms": None, "to_ms": None, "station": None, "reviewed": False, "where": BERLIN}
    return Choice(**{**named, **more})  # type: ignore[arg-type]


def test_csv_and_parquet_hold_the_same_without_what_is_wrong(tmp_path, filled):
    assert export(filled, tmp_path / "out.csv", "csv", choice()) == 2
    with (tmp_path / "out.csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))
    assert [row["scientific"] for row in table] == ["Erithacus rubecula", "Parus major"]
    parquet = pytest.importorskip("pyarrow.parquet")
    assert export(filled, tmp_path / "out.parquet", "parquet", choice()) == 2
    other = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["id"] for row in other] == [int(row["id"]) for row in table]
    assert export(filled, tmp_path / "few.csv", "csv", choice(reviewed=True)) == 1


def test_an_ebird_checklist_has_the_columns_that_ebird_reads(tmp_path, filled):
    export(filled, tmp_path / "list.csv", "ebird", choice())
    with (tmp_path / "list.csv").open(newline="") as stream:
        table = list(csv.reader(stream))
    assert {len(row) for row in table} == {19}
    assert table[0][:4] == ["European Robin", "Erithacus", "rubecula", "X"]
    assert (table[0][8], table[0][12]) == ("05/01/2024", "Stationary")


def test_a_darwin_core_archive_describes_itself(tmp_path, filled):
    export(filled, tmp_path / "a.zip", "dwca", choice())
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        meta = ElementTree.fromstring(archive.read("meta.xml"))
        table = list(csv.reader(archive.read("occurrence.csv").decode().splitlines()))
        ElementTree.fromstring(archive.read("eml.xml"))
    space = "{http://rs.tdwg.org/dwc/text/}"
    terms = [field.attrib["term"].rpartition("/")[2] for field in meta.iter(f"{space}field")]
    assert terms == table[0][1:]
    assert len({row[0] for row in table[1:]}) == 2


def test_the_commands_take_in_write_and_copy(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    path = birdnet_pi(tmp_path / "birds.db", PI_ROWS)
    run = CliRunner()
    done = run.invoke(command, ["import", str(path), "--timezone", "Europe/Berlin"], catch_exceptions=False)
    assert (done.exit_code, done.stderr) == (0, "3 events new, 0 already in the store\n")
    for kind in FORMATS:
        done = run.invoke(command, ["export", str(tmp_path / f"o.{kind}"), "--format", kind], catch_exceptions=False)
        assert done.exit_code == 0
    done = run.invoke(command, ["backup", str(tmp_path / "copy.db")], catch_exceptions=False)
    assert done.exit_code == 0
    copy = Store(f"sqlite:///{tmp_path / 'copy.db'}", read_only=True)
    assert rows(copy, "SELECT count(*) FROM events") == [(3,)]
    copy.close()
    done = run.invoke(command, ["backup", str(tmp_path / "copy.db")])
    assert "exists and is not replaced" in str(done.exception)
