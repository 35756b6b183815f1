"""The hub's page in a real browser, before an invented hub: every view, at a phone's and at a desk's width."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from fake_hub import FakeHub
from fake_season import NOW
from hubs import eventually

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; pip install playwright")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium here; apt-get install chromium")

PHONE, DESK = (390, 844), (1440, 900)
VIEWS = {
    "live": "Latest events",
    "today": "Species by hour",
    "species": "European Robin",
    "species/eurbla": "Seasons",
    "events": "European Robin",
    "events/3f0c6a-10000": "Is it right?",
    "review": "left to review",
    "stations": "Lost messages",
    "settings": "Common Swift",
}
Page = Any


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER)
        yield browser
        browser.close()


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as running:
        yield running


@pytest.fixture
def page_of(chromium: Any) -> Iterator[Callable[..., Page]]:
    """Opens a view of a hub; afterwards nothing may have been said on the console, or asked of another host."""
    contexts, complaints = [], []

    def open_page(hub: FakeHub, view: str = "live", *, size: tuple[int, int] = DESK, scheme: str = "light") -> Page:
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


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_each_view_is_accessible_and_fits(hub, page_of, size, scheme):
    page = page_of(hub, size=size, scheme=scheme)
    page.emulate_media(reduced_motion="reduce")
    for view, shown in VIEWS.items():
        page.goto(f"{hub.url}#/{view}")
        page.locator("main").get_by_text(shown).first.wait_for()
        assert page.locator("main h1").count() == 1, view
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{view} is wider than the screen"
        found = axe.Axe().run(page)
        wrong = [(one["id"], [node["html"][:200] for node in one["nodes"]][:3]) for one in found.response["violations"]]
        assert wrong == [], view


@pytest.mark.parametrize("view", ["live", "today"])
def test_what_is_preloaded_is_asked_for_once(hub, page_of, view):
    page = page_of(hub, view="about:blank")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.removeprefix(hub.url)))
    page.goto("about:blank")
    page.goto(f"{hub.url}#/{view}")
    page.locator("main").get_by_text(VIEWS[view]).first.wait_for()
    preloaded = page.evaluate("[...document.querySelectorAll('link[rel=preload][as=fetch]')].map((one) => one.href)")
    assert len(preloaded) == 3
    for url in preloaded:
        assert asked.count(url.removeprefix(hub.url)) == 1, url
        assert asked.index(url.removeprefix(hub.url)) < asked.index("views/live.js"), "not beside the modules"


def test_the_first_view_is_below_200_kb(hub, page_of, chromium):
    context = chromium.new_context(viewport={"width": PHONE[0], "height": PHONE[1]})
    page = context.new_page()
    page.clock.set_fixed_time(NOW)
    sizes: dict[str, int] = {}
    tool = context.new_cdp_session(page)
    tool.send("Network.enable")
    addresses: dict[str, str] = {}
    tool.on("Network.requestWillBeSent", lambda event: addresses.update({event["requestId"]: event["request"]["url"]}))

    def took(event: dict[str, Any]) -> None:
        sizes[addresses[event["requestId"]]] = int(event["encodedDataLength"])

    tool.on("Network.loadingFinished", took)
    page.goto(hub.url)
    page.locator(".tile img[src]").first.wait_for()
    page.wait_for_function("document.fonts.status === 'loaded'")
    context.close()
    own = {url: size for url, size in sizes.items() if "/picture" not in url}
    assert len(own) > 15
    # What the hub answers is in it; pictures of events come as they are scrolled to.
    assert sum(own.values()) < 200_000, own


def test_live_draws_the_spectrum_and_names_what_is_detected(hub, page_of):
    page = page_of(hub)
    page.locator(".wait").wait_for(state="hidden")
    page.locator(".now-name", has_text="Common Wood-Pigeon").wait_for()
    page.locator(".latin", has_text="Columba palumbus").first.wait_for()
    colours = """() => {
        const canvas = document.querySelector(".spectrogram");
        const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        return new Set(new Uint32Array(data.buffer)).size;
    }"""
    # The canvas is drawn frame by frame, on a busy machine later than the name appears.
    eventually(lambda: page.evaluate(colours) > 200)
    page.get_by_role("button", name="Pause the picture").click()
    page.get_by_role("button", name="Go on with the picture").wait_for()
    assert "GET /api/v1/live?station=garden" in hub.requests


def test_live_shows_an_event_as_it_ends(hub, page_of):
    page = page_of(hub)
    latest = [event["code"] for event in hub.answers.season.events[:12]]
    assert "cowpig1" not in latest
    # The invented station's pigeon ends within the first half minute, which is sent at once.
    page.locator(".tile a", has_text="Common Wood-Pigeon").wait_for()


def test_a_picture_that_is_not_there_yet_is_asked_for_again(hub, page_of):
    """The hub still fetches the clip of an event that has just ended."""
    new = next(event for event in hub.answers.season.events[:12] if event["clip"])
    page = page_of(hub, view="settings")
    page.clock.set_fixed_time(datetime.fromisoformat(new["end_utc"]) + timedelta(seconds=10))
    asked: list[str] = []

    def refuse_first(route: Any) -> None:
        asked.append(route.request.url.split("/")[-2])
        if asked.count(asked[-1]) == 1:
            route.fulfill(status=404, body="{}")
        else:
            route.continue_()

    page.route("**/picture", refuse_first)
    with page.expect_response(lambda answer: answer.url.endswith("/picture") and answer.ok):
        page.goto("about:blank")
        page.goto(f"{hub.url}#/live")
    assert [number for number in set(asked) if asked.count(number) > 1] == [new["id"]]


def test_today_shows_what_the_hub_counted(hub, page_of):
    answer = hub.answers.today({"tz": "Europe/London", "day": "2026-05-17"})
    page = page_of(hub, "today")
    page.locator(".heat-rows .heat-row").first.wait_for()
    totals = page.locator(".heat-rows .heat-total").all_inner_texts()
    assert totals == [str(row["total"]) for row in answer["species"]]
    assert page.locator(".new .tile").count() == sum(1 for row in answer["species"] if row["new"])
    events = sum(row["total"] for row in answer["species"])
    assert f"{len(answer['species'])} species in {events} events" in page.locator(".note").first.inner_text()
    cell = page.locator(".heat-rows .heat-row").first.locator("i.some").first
    count = int(re.findall(r"(\d+) event", cell.get_attribute("title") or "")[0])
    cell.click()
    page.locator(".event-row").first.wait_for()
    assert page.locator(".event-row").count() == count


def test_none_detected_and_not_recorded_differ(hub, page_of):
    page = page_of(hub, "today/2020-01-01")
    page.get_by_text("Not recorded").wait_for()
    hub.answers.season.events.clear()
    page.goto(f"{hub.url}#/today/2026-05-16")
    page.get_by_text("None detected").wait_for()


def test_a_species_is_shown_against_effort(hub, page_of):
    page = page_of(hub, "species")
    page.get_by_label("Find a species").fill("cuckoo")
    page.get_by_role("link", name="Common Cuckoo").click()
    page.get_by_role("heading", name="Common Cuckoo").wait_for()
    page.locator(".seasons .part").first.wait_for()
    # Weeks that were not recorded are hatched.
    assert page.locator(".seasons .none").count() > 0
    assert page.locator(".clock path.part").count() > 0


def test_events_are_filtered_and_read_on(hub, page_of):
    page = page_of(hub, "events")
    page.locator(".event-row").nth(49).wait_for(state="attached")
    page.locator(".event-row").nth(49).scroll_into_view_if_needed()
    page.locator(".event-row").nth(99).wait_for(state="attached")
    page.get_by_role("combobox", name="Species").first.fill("Tawny Owl")
    page.get_by_role("combobox", name="Species").first.press("Tab")
    page.wait_for_url("**species=tawowl1**")
    page.get_by_label("Sort").select_option("-score")
    page.wait_for_url("**sort=-score**")
    page.locator(".event-row").first.wait_for()
    assert set(page.locator(".event-name a").all_inner_texts()) == {"Tawny Owl"}
    scores = [float(text) for text in page.locator(".event-row .ring span").all_inner_texts()]
    assert scores == sorted(scores, reverse=True)


def test_events_by_keyboard(hub, page_of):
    page = page_of(hub, "events")
    page.locator(".event-row").nth(5).wait_for()
    page.keyboard.press("j")
    page.keyboard.press("j")
    with page.expect_request("**/clip"):
        page.keyboard.press("Space")
    second = hub.answers.season.events[1]
    assert page.locator(".event-row").nth(1).locator(".picture").get_attribute("aria-pressed") == "true"
    page.keyboard.press("Enter")
    page.wait_for_url(f"**events/{second['id']}")
    page.get_by_role("heading", name=second["name"]).wait_for()


def test_review_by_keyboard_and_undo(hub, page_of):
    page = page_of(hub, "review")
    page.locator(".review-card h2").wait_for()
    first = hub.answers.next_review({"order": "uncertain"})["event"]
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("Your name").press("Tab")
    page.locator("body").click(position={"x": 5, "y": 500})
    with page.expect_response("**/review"):
        page.keyboard.press("y")
    assert hub.by_id[first["id"]]["review"]["verdict"] == "right"
    assert hub.by_id[first["id"]]["review"]["by"] == "Ada"
    page.get_by_role("button", name="Undo").wait_for()
    with page.expect_response("**/review"):
        page.keyboard.press("z")
    assert hub.by_id[first["id"]]["review"] is None
    page.get_by_text("is open again").wait_for()
    page.keyboard.press("o")
    page.get_by_role("dialog").get_by_label("Species").fill("Song Thrush")
    page.get_by_role("dialog").get_by_label("Species").press("Tab")
    with page.expect_response("**/review"):
        page.get_by_role("button", name="It was this").click()
    assert hub.by_id[first["id"]]["review"]["code"] == "sonthr1"


def test_stations_say_what_was_lost_and_why(hub, page_of):
    page = page_of(hub, "stations")
    page.locator(".legend li", has_text="device-lost").first.wait_for()
    assert page.locator(".station").count() == 3
    page.get_by_role("button", name="2 days").click()
    wood = page.locator(".station", has=page.get_by_role("heading", name="wood"))
    wood.locator(".legend li", has_text="stream-lost").wait_for()
    assert wood.locator(".state").inner_text() == "lost"


def test_thresholds_are_changed_where_they_can_be(hub, page_of):
    page = page_of(hub, "settings")
    number = page.get_by_label("Threshold as a number: Common Swift")
    number.fill("0.44")
    with page.expect_response("**/settings/thresholds**"):
        page.get_by_role("button", name="Apply").click()
    assert hub.thresholds["classes"]["comswi"] == 0.44
    page.locator(".settings select").first.select_option("pond")
    page.get_by_text("pond is on another machine").wait_for()
    assert page.get_by_role("button", name="Apply").count() == 0


def test_names_and_colours_are_the_users_choice(hub, page_of):
    page = page_of(hub, "settings")
    page.locator("option", has_text="German").wait_for(state="attached")
    page.get_by_label("Names of species").select_option("de")
    page.get_by_text("Names changed").wait_for()
    page.get_by_role("button", name="Night").click()
    page.goto(f"{hub.url}#/species/eurbla")
    page.get_by_role("heading", name="Amsel").wait_for()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    page.get_by_role("heading", name="Amsel").wait_for()


def test_a_password_is_asked_for(chromium, page_of):
    with FakeHub(password="wren") as hub:
        page = page_of(hub, "today")
        page.get_by_label("Password").fill("robin")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_text("wrong password").wait_for()
        page.get_by_label("Password").fill("wren")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", name="Today").wait_for()


def test_a_public_hub_may_be_looked_at_only(page_of):
    with FakeHub(password="wren", public=True) as hub:
        page = page_of(hub, "review")
        page.get_by_text("Sign in to review").wait_for()
        page.goto(f"{hub.url}#/settings")
        page.get_by_text("Sign in to change them").wait_for()


def test_it_works_below_a_prefix_of_a_reverse_proxy(page_of):
    with FakeHub(prefix="/garden/birds") as hub:
        page = page_of(hub, "events")
        page.locator(".event-row").first.wait_for()
        assert all(asked.split(" ")[1].startswith("/garden/birds/") for asked in hub.requests)


def test_what_stations_send_is_text(hub, page_of):
    hub.answers.season.events[0].update(name="<img src=x onerror=alert(1)>", station="<b>shed</b>", code="../../x")
    page = page_of(hub, "events")
    page.get_by_text("<img src=x onerror=alert(1)>").wait_for()
    assert page.locator(".event-row b", has_text="shed").count() == 0
    assert "%2F" in (page.locator(".event-row .event-name a").first.get_attribute("href") or "")


def test_a_hub_that_fails_is_said_and_asked_again(hub, page_of):
    page = page_of(hub, "stations")
    page.locator(".legend li", has_text="device-lost").first.wait_for()
    page.route("**/api/v1/species", lambda route: route.fulfill(status=503, body=json.dumps({"detail": "locked"})))
    page.goto(f"{hub.url}#/species")
    page.get_by_text("locked").wait_for()
    page.unroute("**/api/v1/species")
    page.get_by_role("button", name="Try again").click()
    page.get_by_role("link", name="European Robin").wait_for()


def test_a_keyboard_reaches_the_content_first(hub, page_of):
    page = page_of(hub, "species")
    page.get_by_role("link", name="European Robin").wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
