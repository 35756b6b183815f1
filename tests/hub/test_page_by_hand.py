"""The hub's page in a real browser, before an invented hub: what a person does on it, by mouse and keyboard."""

from __future__ import annotations

import json

import pytest
from browsers import needs_browser
from fake_hub import FakeHub

pytestmark = [pytest.mark.slow, *needs_browser]


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
