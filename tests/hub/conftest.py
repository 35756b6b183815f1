from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import BROWSER, DESK
from fake_hub import FakeHub
from fake_season import NOW
from postgres import server
from sqlalchemy import create_engine, text

from birdwatch.hub.schema import METADATA
from birdwatch.hub.store import Store


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a running PostgreSQL."""
    with server() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'hub.db'}"
    url = str(request.getfixturevalue("postgresql"))
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        METADATA.drop_all(connection)
        connection.execute(text("DROP TABLE IF EXISTS alembic_version"))
    engine.dispose()
    return url


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = Store(store_url)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER)
        yield browser
        browser.close()


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    """An invented hub behind the real page."""
    with FakeHub() as running:
        yield running


@pytest.fixture
def page_of(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens a view of a hub; afterwards nothing may have been said on the console, or asked of another host."""
    contexts, complaints = [], []

    def open_page(hub: FakeHub, view: str = "live", *, size: tuple[int, int] = DESK, scheme: str = "light") -> Any:
        width, height = size
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            locale="en-GB",
            timezone_id="Europe/London",
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.clock.set_fixed_time(NOW)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        origin = hub.url.split("/")[2]
        page.on("request", lambda asked: asked.url.split("/")[2] == origin or complaints.append(asked.url))
        page.goto(f"{hub.url}#/{view}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    # A hub that refuses is part of some tests; the browser writes a line for each.
    assert [said for said in complaints if "Failed to load resource" not in said] == []
