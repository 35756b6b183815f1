"""The hub's own command behind a reverse proxy with a path prefix: pages, sessions, what is live, and sound."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
from hub_process import PASSWORD, call, hub_process
from hubs import event, eventually, publishing
from reverse_proxy import ReverseProxy

from birdwatch.messaging.publisher import Publisher

pytestmark = pytest.mark.slow

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PREFIX = "/garden/birds"
DEADLINE_S = 30.0


@dataclass
class Behind:
    """A proxy, the station behind the hub behind it, and the sound of its first event."""

    proxy: ReverseProxy
    station: Publisher
    sound: bytes

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=f"{self.proxy.url}{PREFIX}/", timeout=DEADLINE_S, follow_redirects=False)

    @contextmanager
    def signed_in(self) -> Iterator[httpx.Client]:
        with self.client() as client:
            token = client.get("api/v1/session").json()["csrf"]
            answer = client.post("api/v1/login", json={"password": PASSWORD}, headers={"X-CSRF-Token": token})
            assert answer.status_code == 204
            yield client


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[Behind]:
    tone = io.BytesIO()
    t = np.arange(3 * 32000) / 32000
    soundfile.write(tone, 0.3 * np.sin(2 * np.pi * 3000 * t), 32000, format="FLAC")
    clips = tmp_path / "clips"
    clips.mkdir()
    (clips / "20260501T041203Z_garden_houspa_b0-0.flac").write_bytes(tone.getvalue())
    assert call(tmp_path, "password", BIRDWATCH_HUB_PASSWORD=PASSWORD).returncode == 0
    with publishing(tmp_path, clips=clips) as station:
        station.publish(event(0, clip=True))
        origin = f"garden={station.endpoint},replay={station.replay_endpoint}"
        with (
            hub_process(tmp_path, "--station", origin, "--prefix", PREFIX) as address,
            ReverseProxy(address, PREFIX) as proxy,
        ):
            made = Behind(proxy, station, tone.getvalue())
            with made.signed_in() as client:
                eventually(lambda: client.get("api/v1/events").json()["events"])
            yield made


def test_sessions_events_and_sound_pass_the_proxy(behind):
    with behind.client() as stranger:
        assert stranger.get("api/v1/events").status_code == 401
        assert "Path=/garden/birds/" in stranger.get("api/v1/session").headers["set-cookie"]
        behind.proxy.scheme = "https"
        with behind.client() as over_tls:
            assert "Secure" in over_tls.get("api/v1/session").headers["set-cookie"]
        behind.proxy.scheme = "http"
    with behind.signed_in() as client:
        (shown,) = client.get("api/v1/events").json()["events"]
        whole = client.get(f"api/v1/events/{shown['id']}/clip")
        assert (whole.status_code, whole.content) == (200, behind.sound)
        part = client.get(f"api/v1/events/{shown['id']}/clip", headers={"Range": "bytes=100-199"})
        assert (part.status_code, part.content) == (206, behind.sound[100:200])
        assert client.get(f"api/v1/events/{shown['id']}/picture").content.startswith(b"\x89PNG")
        token = client.get("api/v1/session").json()["csrf"]
        verdict = {"json": {"verdict": "right"}, "headers": {"X-CSRF-Token": token}}
        assert client.post(f"api/v1/events/{shown['id']}/review", **verdict).status_code == 200


def test_what_is_live_comes_while_the_answer_is_open(behind):
    with behind.signed_in() as client, client.stream("GET", "api/v1/live") as stream:
        lines = stream.iter_lines()
        assert stream.headers["content-type"].startswith("text/event-stream")
        behind.station.publish(event(7, code="eurrob1"))
        kind = ""
        for line in lines:
            kind = line.removeprefix("event: ") if line.startswith("event: ") else kind
            if kind == "event" and line.startswith("data: "):
                break
        assert json.loads(line.removeprefix("data: "))["code"] == "eurrob1"


def test_attempts_are_counted_by_the_clients_address_and_not_by_the_proxys(behind):
    def attempt(address: str, claimed: str = "") -> int:
        behind.proxy.client = address
        with behind.client() as client:
            token = client.get("api/v1/session").json()["csrf"]
            headers = {"X-CSRF-Token": token, **({"X-Forwarded-For": claimed} if claimed else {})}
            return client.post("api/v1/login", json={"password": "wrong"}, headers=headers).status_code

    assert [attempt("10.1.1.1", claimed=f"10.7.7.{number}") for number in range(6)] == [401] * 5 + [429]
    assert attempt("10.2.2.2") == 401


@pytest.mark.skipif(BROWSER is None, reason="no chromium here; apt-get install chromium")
def test_a_browser_signs_in_sees_what_is_live_and_plays_a_sound(behind):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    complaints: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER)
        page = browser.new_page(viewport={"width": 390, "height": 844}, timezone_id="UTC", locale="en-GB")
        page.set_default_timeout(1000 * DEADLINE_S)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        # As people type it, without the last slash.
        page.goto(f"{behind.proxy.url}{PREFIX}")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.locator("main").get_by_text("Houspa").first.wait_for()
        behind.station.publish(event(8, code="eurrob1"))
        page.locator("main").get_by_text("Eurrob1").first.wait_for()
        with page.expect_response(lambda answer: answer.url.endswith("/clip")) as sound:
            page.locator("main").get_by_role("button", name="Houspa").first.click()
        assert sound.value.status in (200, 206)
        assert sound.value.url.startswith(f"{behind.proxy.url}{PREFIX}/api/v1/events/")
        page.locator("button.playing").wait_for()
        browser.close()
    assert complaints == []
    assert [path for path in behind.proxy.asked if not path.startswith(PREFIX)] == []
