"""The hub's page in a real browser, before an invented hub: every view, at a phone's and at a desk's width."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from browsers import DESK, PHONE, needs_browser
from fake_season import NOW
from hubs import eventually

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python")
pytestmark = [pytest.mark.slow, *needs_browser]

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
    asked.clear()
    page.goto(f"{hub.url}#/{view}")
    page.locator("main").get_by_text(VIEWS[view]).first.wait_for()
    preloaded = page.evaluate("[...document.querySelectorAll('link[rel=preload][as=fetch]')].map((one) => one.href)")
    assert len(preloaded) == 3
    for url in preloaded:
        assert asked.count(url.removeprefix(hub.url)) == 1, url
    # A browser has six connections to a host: these are one round trip, before anything that they lead to.
    assert set(asked[1:6]) == {"first.css", "first.js", *(url.removeprefix(hub.url) for url in preloaded)}
    assert view == "live" or asked.index("views/today.js") > 5


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
    assert len(own) > 8  # the page, its style and script, two fonts, the data
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


def test_scientific_names_that_arrive_late_are_filled_in(hub, page_of):
    page = page_of(hub, view="settings")
    page.goto("about:blank")
    held: list[Any] = []
    page.route("**/api/v1/species", lambda route: held.append(route))
    page.goto(f"{hub.url}#/live")
    page.locator(".now-name", has_text="Common Wood-Pigeon").wait_for()
    eventually(lambda: page.locator(".latin").count() == len(held) == 1)
    assert page.locator(".latin").all_inner_texts() == [""]
    held[0].continue_()
    page.locator(".latin", has_text="Columba palumbus").wait_for()


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


def test_stations_say_what_was_lost_and_why(hub, page_of):
    page = page_of(hub, "stations")
    page.locator(".legend li", has_text="device-lost").first.wait_for()
    assert page.locator(".station").count() == 3
    page.get_by_role("button", name="2 days").click()
    wood = page.locator(".station", has=page.get_by_role("heading", name="wood"))
    wood.locator(".legend li", has_text="stream-lost").wait_for()
    assert wood.locator(".state").inner_text() == "lost"


def test_what_stations_send_is_text(hub, page_of):
    hub.answers.season.events[0].update(name="<img src=x onerror=alert(1)>", station="<b>shed</b>", code="../../x")
    page = page_of(hub, "events")
    page.get_by_text("<img src=x onerror=alert(1)>").wait_for()
    assert page.locator(".event-row b", has_text="shed").count() == 0
    assert "%2F" in (page.locator(".event-row .event-name a").first.get_attribute("href") or "")
