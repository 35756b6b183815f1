"""The API over a store that was filled by hand; each answer against what was put in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hubs import API, START_MS, body, event, fill, opened

from birdwatch.hub.app import make_app
from birdwatch.hub.hub import Hub
from birdwatch.hub.ingest import Ingest, Item, Position
from birdwatch.hub.records import parse

pytestmark = pytest.mark.slow


@pytest.fixture
def hub(tmp_path: Path, store_url: str) -> Hub:
    made = opened(tmp_path, store_url=store_url)
    fill(made)
    return made


@pytest.fixture
def client(hub: Hub) -> Iterator[TestClient]:
    with TestClient(make_app(hub)) as made:
        csrf = made.get(f"{API}/session").json()["csrf"]
        made.headers["X-CSRF-Token"] = csrf
        yield made


@pytest.mark.parametrize("sort", ["time", "-time", "score", "-score"])
@pytest.mark.parametrize("limit", [1, 7, 30, 31])
def test_pages_hold_every_event_once_in_order(client, sort, limit):
    found, cursor = [], None
    while True:
        page = client.get(
            f"{API}/events", params={"sort": sort, "limit": limit, **({"cursor": cursor} if cursor else {})}
        ).json()
        found += page["events"]
        cursor = page["next"]
        if cursor is None:
            break
    key = "score" if sort.endswith("score") else "start_utc"
    assert [row[key] for row in found] == sorted((row[key] for row in found), reverse=sort.startswith("-"))
    assert len({row["id"] for row in found}) == 30


def test_filters_choose_what_they_say(client):
    def ids(**params):
        return [row["id"] for row in client.get(f"{API}/events", params={"limit": 500, **params}).json()["events"]]

    assert len(ids(species="houspa")) == 10
    assert len(ids(min_score=0.5)) == 10
    assert ids(species="nobody") == ids(station="nowhere") == []
    assert len(ids(**{"from": "2026-05-01T04:22:03.250Z", "to": "2026-05-01T04:24:03.250Z"})) == 2
    assert len(ids(station="garden", species="houspa", min_score=0.5)) == len(ids(species="houspa", min_score=0.5))


def test_a_day_is_counted_in_the_hours_of_the_place(client):
    day = client.get(f"{API}/today", params={"day": "2026-05-01", "tz": "Europe/Berlin"}).json()
    sparrow = next(row for row in day["species"] if row["code"] == "houspa")
    assert sparrow["events"][6] == 10
    assert sparrow["total"] == 10
    assert sparrow["new"] == "ever"
    assert sparrow["best_score"] == pytest.approx(0.57)
    assert sum(day["listened_s"]) == pytest.approx(7.5)
    other = client.get(f"{API}/today", params={"day": "2026-05-02", "tz": "UTC"}).json()
    assert other["species"] == []


def test_a_species_is_shown_against_effort(client):
    found = client.get(f"{API}/species/houspa", params={"tz": "Europe/Berlin"}).json()
    assert [(week["week"], week["events"]) for week in found["weeks"]] == [("2026-W18", 10)]
    assert found["hours"][6]["events"] == 10
    assert found["stations"] == [{"name": "garden", "events": 10}]
    assert [row["score"] for row in found["best"]] == sorted((row["score"] for row in found["best"]), reverse=True)
    assert client.get(f"{API}/species/dodo").status_code == 404
    assert [row["code"] for row in client.get(f"{API}/species", params={"q": "KINF"}).json()["species"]] == ["kinfis"]


def test_a_review_is_given_and_taken_back(client):
    before = client.get(f"{API}/review/next", params={"order": "uncertain"}).json()
    assert abs(before["event"]["score"] - 0.5) < 0.011
    assert before["left"] == 30
    number = before["event"]["id"]
    given = client.post(f"{API}/events/{number}/review", json={"verdict": "other", "code": "kinfis", "by": "Ann"})
    assert given.json()["review"]["verdict"] == "other"
    assert given.json()["review"]["code"] == "kinfis"
    after = client.get(f"{API}/review/next", params={"order": "uncertain"}).json()
    assert (after["left"], after["event"]["id"] == number) == (29, False)
    assert len(client.get(f"{API}/events", params={"review": "other"}).json()["events"]) == 1
    assert client.delete(f"{API}/events/{number}/review").json()["review"] is None
    assert client.get(f"{API}/review/next").json()["left"] == 30
    wrong = client.post(f"{API}/events/{number}/review", json={"verdict": "other", "code": "dodo"})
    assert (wrong.status_code, "dodo" in wrong.json()["detail"]) == (400, True)


def test_another_species_may_be_any_label_of_the_model(client, hub):
    ingest = Ingest(hub.store)
    every = client.get(f"{API}/labels", params={"every": True}).json()["names"]
    assert every["carcro1"] == "Carrion Crow"
    assert "carcro1" not in client.get(f"{API}/labels").json()["names"]
    given = client.post(f"{API}/events/3/review", json={"verdict": "other", "code": "carcro1"})
    assert given.json()["review"]["code"] == "carcro1"
    # What was never detected is in no list of the detected.
    assert "carcro1" not in {row["code"] for row in client.get(f"{API}/species").json()["species"]}
    # A station that sends it afterwards, or another that is new to a writer that has run since before, is stored.
    for seq, code in enumerate(("carcro1", "newone"), 50):
        fields = dict(event(seq, code=code).fields)
        record = parse(body("event", seq, fields), now_ms=2_000_000_000_000)
        ingest.apply([Item("garden", "garden", "b0", Position(seq, "[]", 0), record)])
    found = client.get(f"{API}/events", params={"species": "carcro1"}).json()["events"]
    assert [row["name"] for row in found] == ["Carrion Crow"]


def test_an_etag_saves_the_body(client):
    first = client.get(f"{API}/species")
    again = client.get(f"{API}/species", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_every_answer_keeps_other_hosts_out(client):
    for path in (f"{API}/species", f"{API}/nothing", "/nothing"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_a_write_needs_the_token(client):
    sent = client.post(f"{API}/events/1/review", json={"verdict": "right"}, headers={"X-CSRF-Token": "0" * 64})
    assert sent.status_code == 403
    assert "GET session" in sent.json()["detail"]


def test_without_a_password_a_strange_host_name_is_refused(client):
    found = client.get(f"{API}/species", headers={"Host": "evil.example"})
    assert found.status_code == 403
    assert client.get(f"{API}/session", headers={"Host": "evil.example"}).status_code == 403


@pytest.mark.parametrize("path", ["/../../etc/passwd", "/..%2f..%2fetc/passwd", "/%2e%2e/hub.py", "//etc/passwd"])
def test_no_path_leads_out_of_the_page(client, path):
    found = client.get(path)
    assert found.status_code == 404
    assert b"root:" not in found.content


def test_a_password_shuts_strangers_out_and_attempts_are_counted(tmp_path):
    hub = opened(tmp_path)
    fill(hub, 3)
    hub.access.set_password("correct horse")
    with TestClient(make_app(hub)) as client:
        session = client.get(f"{API}/session").json()
        assert (session["signed_in"], session["password_set"]) == (False, True)
        assert client.get(f"{API}/events").status_code == 401
        headers = {"X-CSRF-Token": session["csrf"]}
        assert client.post(f"{API}/login", json={"password": "correct horse"}).status_code == 403
        assert client.post(f"{API}/login", json={"password": "wrong horse"}, headers=headers).status_code == 401
        assert client.post(f"{API}/login", json={"password": "correct horse"}, headers=headers).status_code == 204
        signed = client.get(f"{API}/session").json()
        assert signed["signed_in"]
        headers = {"X-CSRF-Token": signed["csrf"]}
        assert client.post(f"{API}/events/1/review", json={"verdict": "right"}, headers=headers).status_code == 200
        cookie = client.cookies["birdwatch_session"]
        assert client.post(f"{API}/logout", headers=headers).status_code == 204
        client.cookies.set("birdwatch_session", cookie)
        assert client.get(f"{API}/events").status_code == 401
        client.cookies.clear()
        headers = {"X-CSRF-Token": client.get(f"{API}/session").json()["csrf"]}
        codes = [client.post(f"{API}/login", json={"password": "wrong"}, headers=headers).status_code for _ in range(6)]
        assert codes[-1] == 429
        assert 401 in codes


def test_a_public_hub_is_read_by_all_and_changed_by_none(tmp_path):
    hub = opened(tmp_path, public=True)
    fill(hub, 3)
    with TestClient(make_app(hub)) as client:
        session = client.get(f"{API}/session").json()
        assert client.get(f"{API}/events").status_code == 200
        headers = {"X-CSRF-Token": session["csrf"]}
        assert client.post(f"{API}/events/1/review", json={"verdict": "right"}, headers=headers).status_code == 401


def test_a_public_hub_tells_strangers_a_station_s_place_roughly(tmp_path):
    hub = opened(tmp_path, public=True)
    fill(hub, 1, lat=52.51234, lon=-13.40567)
    with TestClient(make_app(hub)) as client:
        (station,) = client.get(f"{API}/stations").json()["stations"]
        assert (station["lat"], station["lon"], station["level_dbfs"]) == (52.5, -13.4, -42.5)
        hub.access.set_password("correct horse")
        headers = {"X-CSRF-Token": client.get(f"{API}/session").json()["csrf"]}
        client.post(f"{API}/login", json={"password": "correct horse"}, headers=headers)
        (station,) = client.get(f"{API}/stations").json()["stations"]
        assert (station["lat"], station["lon"]) == (52.51234, -13.40567)


def test_visitors_leave_connections_for_those_who_are_signed_in(tmp_path, monkeypatch):
    async def ends_at_once(_station):
        yield b": birdwatch\n\n"

    monkeypatch.setattr("birdwatch.hub.view_routes.VISITORS", 0)
    hub = opened(tmp_path, public=True)
    hub.access.set_password("correct horse")
    monkeypatch.setattr(hub.live, "listen", ends_at_once)
    with TestClient(make_app(hub)) as client:
        refused = client.get(f"{API}/live")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "60")
        headers = {"X-CSRF-Token": client.get(f"{API}/session").json()["csrf"]}
        client.post(f"{API}/login", json={"password": "correct horse"}, headers=headers)
        assert client.get(f"{API}/live").status_code == 200


@pytest.mark.parametrize("lat", [None, "north", 91, True])
def test_a_place_that_is_none_is_not_shown(tmp_path, lat):
    hub = opened(tmp_path)
    fill(hub, 1, lat=lat)
    with TestClient(make_app(hub)) as client:
        assert client.get(f"{API}/stations").json()["stations"][0]["lat"] is None


def test_accounting_is_by_hour_or_day(client):
    rows = client.get(
        f"{API}/stations/garden/accounting", params={"from": "2026-05-01", "to": "2026-05-02", "step": "hour"}
    ).json()["rows"]
    assert rows == [{"utc": "2026-05-01T04:00:00.000Z", "listened_s": 7.5, "gaps": {}}]
    assert client.get(f"{API}/stations/nowhere/accounting").status_code == 404
    assert START_MS


def test_a_browser_that_has_the_page_gets_no_body(client):
    for name, kind in (("first.js", "text/javascript"), ("first.css", "text/css"), ("icon.svg", "image/svg+xml")):
        answer = client.get(f"/{name}")
        assert answer.headers["content-type"].startswith(kind)
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.text
        again = client.get(f"/{name}", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.text, again.headers["cache-control"]) == (304, "", "no-cache")
