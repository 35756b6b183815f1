"""Details go with their age, gaps are added up, and what views show stays."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping

import pytest
from hubs import START_MS, body, eventually, iso
from sample_messages import samples
from sqlalchemy import text

from birdwatch.hub import upkeep
from birdwatch.hub.clock import HOUR_MS
from birdwatch.hub.ingest import Ingest, Item, Position
from birdwatch.hub.records import parse
from birdwatch.hub.station_views import accounting
from birdwatch.hub.store import Store
from birdwatch.hub.upkeep import Upkeep, add_up_gaps, old_ms, remove_details
from birdwatch.messaging.messages import Message

DAY_MS = 24 * HOUR_MS
DETAILS = ("detections", "recordings", "statuses")


def counts(store: Store) -> dict[str, int]:
    with store.reading() as connection:
        return {
            name: connection.scalar(text(f"SELECT count(*) FROM {name}")) or 0 for name in (*DETAILS, "events", "gaps")
        }


def filled(store: Store, *, days: int, gap_starts_ms: list[int] = []) -> None:  # noqa: B006 - not changed
    """A message of each kind at noon of each day, and gaps."""
    kinds: dict[str, Message] = {message.kind: message for message in samples()}
    ingest = Ingest(store)
    items: list[Item] = []

    def add(kind: str, at_ms: int, fields: Mapping[str, object]) -> None:
        seq = len(items) + 1
        record = parse(body(kind, seq, {**dict(kinds[kind].fields), **fields, "sent": iso(at_ms)}), now_ms=2 * 10**12)
        assert record.fault is None
        items.append(Item("garden", "garden", "b0", Position(seq, "[]", 0), record))

    for day in range(days):
        at_ms = START_MS + day * DAY_MS
        span = {"start": iso(at_ms), "end": iso(at_ms + 5000)}
        for kind in ("detection", "event", "recording"):
            add(kind, at_ms, span)
        add("status", at_ms, {})
    pick = random.Random(5)
    for at_ms in gap_starts_ms:
        fields = {"seconds": pick.choice([0.25, 0.5, 1.0]), "reason": pick.choice(["overflow", "device-lost"])}
        add("gap", at_ms, {"start": iso(at_ms), **fields})
    # The newest status: what is old is counted from it.
    add("status", START_MS + days * DAY_MS, {})
    ingest.apply(items)


def test_details_before_a_moment_go_and_events_stay(store, monkeypatch):
    monkeypatch.setattr(upkeep, "BATCH", 7)
    filled(store, days=60)
    before_ms = START_MS + 40 * DAY_MS
    with store.reading() as connection:
        positions = connection.execute(text("SELECT through, holes FROM boots")).fetchall()
    while remove_details(store, before_ms):
        pass
    # Those of day 40 began at that very moment; one status more is the newest.
    assert counts(store) == {"detections": 20, "recordings": 20, "statuses": 21, "events": 60, "gaps": 0}
    with store.reading() as connection:
        assert connection.execute(text("SELECT through, holes FROM boots")).fetchall() == positions
        assert connection.scalar(text("SELECT sum(events) FROM species_stations")) == 60


def test_gaps_are_added_up_and_accounting_stays(store):
    pick = random.Random(2)
    starts = sorted(START_MS + pick.randrange(5 * DAY_MS) for _ in range(400))
    filled(store, days=5, gap_starts_ms=starts)
    before_ms = START_MS // HOUR_MS * HOUR_MS + 3 * DAY_MS

    def shown(step: str) -> object:
        with store.reading() as connection:
            return accounting(connection, "garden", from_ms=START_MS - DAY_MS, to_ms=START_MS + 6 * DAY_MS, step=step)

    earlier = shown("hour"), shown("day")
    groups: dict[tuple[int, str], int] = defaultdict(int)
    with store.reading() as connection:
        for at_ms, reason in connection.execute(text("SELECT at_ms, reason FROM gaps")):
            groups[(at_ms // HOUR_MS, reason) if at_ms < before_ms else (at_ms, reason)] += 1
    assert max(groups.values()) > 1
    while add_up_gaps(store, before_ms):
        pass
    assert counts(store)["gaps"] == len(groups)
    assert (shown("hour"), shown("day")) == earlier
    assert not add_up_gaps(store, before_ms)


def test_what_is_old_is_counted_from_the_newest_message_where_this_clock_is_ahead(store):
    filled(store, days=3)
    newest_ms = START_MS + 3 * DAY_MS
    ahead = old_ms(store, newest_ms + 5000 * DAY_MS, 2)
    assert ahead == (newest_ms - 2 * DAY_MS) // HOUR_MS * HOUR_MS
    # A machine that has no clock yet removes nothing.
    assert old_ms(store, 0, 2) < 0


def test_a_hub_removes_them_by_itself_and_with_0_days_nothing(tmp_path):
    for days, left in ((0, 10), (4, 4)):
        store = Store(f"sqlite:///{tmp_path / str(days)}.db")
        filled(store, days=10)
        kept = Upkeep(store, lambda: 2 * 10**12, days=days)
        kept.start()
        if days:
            eventually(lambda: counts(store)["detections"] <= left)  # noqa: B023 - called at once
        kept.close()
        # The fourth day back began within the hour that is not yet old.
        assert counts(store)["detections"] == left
        store.close()


def test_a_store_that_cannot_be_written_is_tried_again(tmp_path, caplog: pytest.LogCaptureFixture):
    store = Store(f"sqlite:///{tmp_path / 'hub.db'}")
    filled(store, days=10)
    with store.writing() as connection:
        connection.execute(
            text("CREATE TRIGGER full BEFORE DELETE ON statuses BEGIN SELECT RAISE(ABORT, 'disk full'); END")
        )
    kept = Upkeep(store, lambda: 2 * 10**12, days=4)
    kept.start()
    eventually(lambda: "disk full" in caplog.text)
    kept.close()
    assert counts(store)["statuses"] == 11
    store.close()
