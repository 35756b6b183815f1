from __future__ import annotations

from hubs import body
from sample_messages import samples
from sqlalchemy import text

from birdwatch.hub.doctor import hub_findings
from birdwatch.hub.ingest import Ingest, Item, Position
from birdwatch.hub.records import parse
from birdwatch.hub.store import Store


def test_without_a_hub_nothing_is_said(tmp_path):
    assert hub_findings(tmp_path) == []


def test_a_store_that_no_hub_writes_to_is_looked_at(tmp_path):
    store = Store(f"sqlite:///{tmp_path / 'hub.db'}")
    status = next(message for message in samples() if message.kind == "status")
    record = parse(body("status", 1, dict(status.fields)), now_ms=2_000_000_000_000)
    Ingest(store).apply([Item("garden", "garden", "b0", Position(1, "[]", 0), record)])
    (found,) = hub_findings(tmp_path)
    assert (found.verdict, "is `birdwatch hub` running?" in found.text) == ("warns", True)
    with store.writing() as connection:
        connection.execute(text("UPDATE stations SET last_seen_ms = 4000000000000"))
    (found,) = hub_findings(tmp_path)
    assert (found.verdict, found.text.startswith("1 station, 0 events")) == ("fine", True)
    store.close()


def test_a_damaged_store_is_said(tmp_path):
    (tmp_path / "hub.db").write_bytes(b"rubbish" * 999)
    (found,) = hub_findings(tmp_path)
    assert (found.verdict, "cannot be read" in found.text) == ("warns", True)
