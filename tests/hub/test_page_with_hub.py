"""The page in a real browser before the real hub, with messages stored as a station's are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from browsers import needs_browser
from hubs import START_MS, body, event
from sample_messages import samples

from birdwatch.hub.app import make_app
from birdwatch.hub.hub import Hub, HubSettings
from birdwatch.hub.ingest import Ingest, Item, Position
from birdwatch.hub.records import parse

pytestmark = [pytest.mark.slow, *needs_browser]

DAY = "2026-05-01"
VIEWS = {
    "live": "Latest events",
    f"today/{DAY}": "Houspa",
    "species": "Houspa",
    "species/houspa": "Seasons",
    "events": "Houspa",
    "events/1": "Is it right?",
    "review": "left to review",
    "stations": "Lost messages",
    "settings": "Thresholds",
}


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[str]:
    """The address of a hub with thirty events."""
    made = Hub(HubSettings((), tmp_path, f"sqlite:///{tmp_path / 'hub.db'}"))
    ingest = Ingest(made.store)
    status = next(message for message in samples() if message.kind == "status")
    fields = [("event", dict(event(number, code="houspa").fields)) for number in range(30)]
    for seq, (kind, values) in enumerate([*fields, ("status", dict(status.fields))], 1):
        record = parse(body(kind, seq, values), now_ms=START_MS + 86_400_000)
        ingest.apply([Item("garden", "garden", "b0", Position(seq, "[]", 0), record)])
    server = uvicorn.Server(uvicorn.Config(make_app(made), port=0, log_level="error", timeout_graceful_shutdown=1))
    ready = threading.Event()
    startup = server.startup

    async def started(sockets: object = None) -> None:
        await startup(sockets)  # type: ignore[arg-type]
        ready.set()

    server.startup = started  # type: ignore[method-assign,assignment]
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert ready.wait(30)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    server.should_exit = True
    thread.join(30)


def test_every_view_shows_what_the_hub_stored(hub, chromium):
    complaints: list[str] = []
    page = chromium.new_page(viewport={"width": 390, "height": 844}, timezone_id="UTC", locale="en-GB")
    page.set_default_timeout(20_000)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    for view, shown in VIEWS.items():
        page.goto(f"{hub}#/{view}")
        page.locator("main").get_by_text(shown).first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
    page.goto(f"{hub}#/today/{DAY}")
    page.locator(".heat-rows .heat-total", has_text="30").wait_for()
    # A review reaches the store, with the token of this browser.
    page.goto(f"{hub}#/review")
    page.get_by_role("button", name="Right").click()
    page.get_by_role("button", name="Undo").wait_for()
    page.goto(f"{hub}#/events?review=right")
    page.locator(".event-row").first.wait_for()
    assert page.locator(".event-row").count() == 1
    page.close()
    assert complaints == []
