from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hubs import body, event, eventually, origin, publishing, taking_in
from sample_messages import samples
from sqlalchemy import text

from birdwatch.hub.ingest import Ingest, Item, Position
from birdwatch.hub.records import parse
from birdwatch.hub.store import Store
from birdwatch.messaging.messages import Message

pytestmark = pytest.mark.slow


def rows(store: Store, query: str) -> list[tuple[Any, ...]]:
    with store.reading() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def uids(store: Store) -> list[str]:
    return [row[0] for row in rows(store, "SELECT uid FROM events ORDER BY seq")]


def test_what_was_published_before_the_hub_came_is_stored_too(tmp_path, store):
    with publishing(tmp_path) as station:
        for number in range(1200):
            station.publish(event(number))
        with taking_in(store, origin(station)):
            eventually(lambda: len(uids(store)) >= 1200)
    assert uids(store)[:1200] == [f"b0-{number}" for number in range(1200)]
    assert rows(store, "SELECT holes, lost FROM boots") == [("[]", 0)]


def test_what_was_missed_while_away_is_asked_for_across_restarts_of_the_station(tmp_path, store):
    with publishing(tmp_path, "b0") as station:
        station.publish(event(0))
        with taking_in(store, origin(station)):
            eventually(lambda: station.publish(event(0)) and uids(store))
        station.publish(event(1, "b0"))
        last = station.publish(event(2, "b0"))
    for boot in ("b1", "b2"):
        with publishing(tmp_path, boot) as station:
            for number in range(700):
                station.publish(event(number, boot))
    with publishing(tmp_path, "b3") as station, taking_in(store, origin(station)):
        eventually(lambda: station.publish(event(9, "b3")) and rows(store, "SELECT 1 FROM boots WHERE boot_id = 'b3'"))
        sent = station.publish(event(10, "b3"))
        eventually(lambda: rows(store, f"SELECT 1 FROM boots WHERE boot_id = 'b3' AND through = {sent}"))
    assert rows(store, "SELECT boot_id, through, holes, lost FROM boots ORDER BY boot_id") == [
        ("b0", last, "[]", 0),
        ("b1", 700, "[]", 0),
        ("b2", 700, "[]", 0),
        ("b3", sent, "[]", 0),
    ]
    counted = "SELECT boots.boot_id, count(*), count(DISTINCT seq) FROM events JOIN boots ON boots.id = boot GROUP BY 1"
    assert sorted(rows(store, counted)) == [("b0", last, last), ("b1", 700, 700), ("b2", 700, 700), ("b3", sent, sent)]
    assert rows(store, "SELECT sum(events) FROM species_stations") == [(last + 1400 + sent,)]
    assert rows(store, "SELECT sum(events) FROM species_weeks") == [(last + 1400 + sent,)]


def test_what_the_station_no_longer_has_is_counted_as_lost(tmp_path, store):
    with publishing(tmp_path, "b0") as station:
        with taking_in(store, origin(station)):
            eventually(lambda: station.publish(event(0)) and uids(store))
        before = station.publish(event(0))
    (tmp_path / "journal.db").unlink()
    with publishing(tmp_path, "b0") as station:
        for _ in range(before + 5):
            last = station.publish(event(1))
    # The same start with a journal that lacks its first half, as after pruning.
    with sqlite3.connect(tmp_path / "journal.db") as journal:
        journal.execute("DELETE FROM messages WHERE seq <= ?", (before + 2,))
    journal.close()
    with publishing(tmp_path, "b1") as station, taking_in(store, origin(station)):
        eventually(lambda: station.publish(event(1, "b1")) and rows(store, "SELECT 1 FROM boots WHERE boot_id = 'b1'"))
    ((through, holes, lost, count),) = rows(
        store,
        "SELECT through, holes, lost, (SELECT count(*) FROM events WHERE boot = boots.id) FROM boots WHERE id = 1",
    )
    assert (through, holes) == (last, "[]")
    assert count + lost == last
    assert lost >= 2


def test_stations_with_the_same_name_stay_apart(tmp_path, store):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with (
        publishing(tmp_path / "one") as one,
        publishing(tmp_path / "two") as two,
        taking_in(store, origin(one, "tcp://one"), origin(two, "tcp://two")),
    ):
        eventually(lambda: one.publish(event(0)) and len(rows(store, "SELECT 1 FROM stations")) == 1)
        eventually(lambda: two.publish(event(0)) and len(rows(store, "SELECT 1 FROM stations")) == 2)
    names = {row[0] for row in rows(store, "SELECT name FROM stations")}
    assert len(names) == 2
    assert "garden" in names


def test_seconds_listened_fall_into_the_hours_in_which_they_were(tmp_path, store):
    ingest = Ingest(store)
    status = next(message for message in samples() if message.kind == "status")

    def item(seq: int, sent: str, analysed: float) -> Item:
        fields = {**status.fields, "seconds": {**status.fields["seconds"], "analysed": analysed, "skipped_silent": 0}}
        record = parse(body("status", seq, fields, sent=sent), now_ms=2_000_000_000_000)
        assert record.fault is None
        return Item("garden", "garden", "b0", Position(seq, "[]", 0), record)

    ingest.apply([item(1, "2026-05-01T04:30:00Z", 600.0)])
    ingest.apply([item(2, "2026-05-01T05:30:00Z", 4200.0)])
    # Half of what passed: the other half was a gap.
    ingest.apply([item(3, "2026-05-01T06:30:00Z", 6000.0)])
    hour = 1_777_608_000_000 // 3_600_000
    assert rows(store, "SELECT hour, seconds FROM listened ORDER BY hour") == [
        (hour, 2400.0),
        (hour + 1, 2700.0),
        (hour + 2, 900.0),
    ]
    assert rows(store, "SELECT sum(seconds) FROM effort_weeks") == [(6000.0,)]


def test_a_hostile_station_costs_the_others_nothing_and_is_counted(tmp_path, store):
    (tmp_path / "good").mkdir()
    (tmp_path / "bad").mkdir()
    with (
        publishing(tmp_path / "good") as good,
        publishing(tmp_path / "bad", "x", station="evil") as bad,
        taking_in(store, origin(good, "good"), origin(bad, "bad")),
    ):
        eventually(lambda: bad.publish(event(0, "x")) and rows(store, "SELECT 1 FROM stations WHERE name = 'bad'"))
        for number in range(50):
            bad.publish(Message("event", "y", {"label": f"z{number}", "max_score": "much"}))
            bad.publish(Message("event", "y", {**event(0, "x").fields, "start": "1970-01-01T00:00:00.000Z"}))
            bad.publish(Message("status", "-", {"seconds": [[[]]] * 50, "boot_id": f"b{number}" * 90}))
        eventually(lambda: good.publish(event(0)) and uids(store).count("b0-0") >= 5)
        eventually(lambda: rows(store, "SELECT unreadable FROM stations WHERE name = 'bad'")[0][0] >= 150)
    assert rows(store, "SELECT unreadable FROM stations WHERE name = 'good'") == [(0,)]


def test_a_locked_store_is_survived_and_said(tmp_path, store):
    if not store.is_sqlite:
        pytest.skip("locks a file")
    with publishing(tmp_path) as station, taking_in(store, origin(station)) as intake:
        eventually(lambda: station.publish(event(0)) and uids(store))
        store.engine.dispose()
        other = sqlite3.connect(tmp_path / "hub.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        last = station.publish(event(1))
        eventually(lambda: intake.fault)
        assert "locked" in str(intake.fault)
        other.execute("COMMIT")
        other.close()
        eventually(lambda: intake.fault is None)
        eventually(lambda: rows(store, f"SELECT 1 FROM boots WHERE through >= {last}"))
    assert json.loads(rows(store, "SELECT holes FROM boots")[0][0]) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 6 MB, of memory."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here; needs root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_is_survived_and_said(tmp_path, small_disk):
    store = Store(f"sqlite:///{small_disk / 'hub.db'}")
    filler = small_disk / "filler"
    with publishing(tmp_path) as station, taking_in(store, origin(station)) as intake:
        eventually(lambda: station.publish(event(0)) and uids(store))
        with filler.open("wb", buffering=0) as stream, suppress(OSError):
            while stream.write(b"x" * 4096):
                pass
        # What fits into pages that are there already may still be stored.
        eventually(lambda: station.publish(event(1)) and intake.fault)
        assert "full" in str(intake.fault)
        # What is stored can be read all the while.
        assert uids(store)
        last = station.publish(event(2))
        filler.unlink()
        eventually(lambda: intake.fault is None)
        eventually(lambda: rows(store, f"SELECT 1 FROM boots WHERE through >= {last} AND holes = '[]'"))
    assert rows(store, "SELECT count(*), count(DISTINCT seq) FROM events") == [(last, last)]
    store.close()
