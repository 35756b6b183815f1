"""Thresholds of a real `birdwatch listen`, changed by a real hub: in the file, and in force at the station."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hubs import API, START_MS, body, eventually, fill, opened
from sample_messages import samples

from birdwatch.hub.app import make_app
from birdwatch.hub.hub import Hub, HubSettings
from birdwatch.hub.ingest import Ingest, Item, Position
from birdwatch.hub.origin import Origin
from birdwatch.hub.records import parse
from birdwatch.hub.thresholds import Thresholds

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="finds the station in /proc of Linux"),
]
ROOT = Path(__file__).resolve().parents[2]
ADDRESS = f"{API}/settings/thresholds"
FILE = '# mine\nstation = "garden"\nthreshold = 0.5\n\n[class.eurbla]\nthreshold = 0.7 # loud\n'


class Running:
    """A station that listens to a silent pipe, and a hub that subscribes to it."""

    def __init__(self, folder: Path, model: Path, *options: str) -> None:
        self.config = folder / "station.toml"
        self.config.write_text(FILE)
        self.config.chmod(0o640)
        bind = f"ipc://{folder}/pub"
        command = [sys.executable, "-m", "birdwatch", "listen", "--config", "station.toml", "--source", "-"]
        command += ["--model", str(model), "--bind", bind, "--replay-bind", "off", "--journal-max-mb", "0", *options]
        self.process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        url = f"sqlite:///{folder / 'hub.db'}"
        self.hub = Hub(HubSettings((Origin("shed", bind, None),), folder, url, clips_max_gb=0))
        self.client = TestClient(make_app(self.hub))
        self.client.__enter__()
        self.client.headers["X-CSRF-Token"] = self.client.get(f"{API}/session").json()["csrf"]
        eventually(lambda: self.client.get(f"{API}/stations").json()["stations"])

    def thresholds(self) -> dict[str, object]:
        found: dict[str, object] = self.client.get(ADDRESS, params={"station": "shed"}).json()
        return found

    def put(self, default: float | None, **classes: float) -> tuple[int, dict[str, object]]:
        answer = self.client.put(ADDRESS, params={"station": "shed"}, json={"default": default, "classes": classes})
        return answer.status_code, answer.json()

    def close(self) -> None:
        self.client.__exit__()
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def running(tmp_path: Path, tiny_model: Path) -> Iterator[Running]:
    station = Running(tmp_path, tiny_model)
    yield station
    station.close()


def test_thresholds_are_changed_and_in_force(running):
    assert running.thresholds() == {"default": 0.5, "classes": {"eurbla": 0.7}, "writable": True, "why": None}
    code, found = running.put(0.6, eurrob1=0.4)
    assert (code, found) == (200, {"default": 0.6, "classes": {"eurrob1": 0.4}, "writable": True, "why": None})
    assert running.config.read_text().startswith('# mine\nstation = "garden"\nthreshold = 0.6\n')
    assert tomllib.loads(running.config.read_text())["class"]["eurrob1"] == {"threshold": 0.4}
    # Who may read the file has not changed.
    assert running.config.stat().st_mode & 0o777 == 0o640
    # The model's own again.
    assert running.put(None)[1]["default"] is None


def test_what_the_station_refuses_is_put_back_and_said(running):
    code, found = running.put(0.6, nightjar=0.4)
    assert code == 400
    assert "no such class" in str(found["detail"])
    assert "the old thresholds are kept" in str(found["detail"])
    assert running.config.read_text() == FILE
    assert running.thresholds()["writable"]
    # Lower than event_off: the station alone can tell.
    running.config.write_text("event_off = 0.45\n" + FILE)
    code, found = running.put(0.3)
    assert (code, "event_off" in str(found["detail"])) == (400, True)
    assert running.config.read_text() == "event_off = 0.45\n" + FILE


def test_a_change_needs_the_token_and_sensible_values(running):
    wanted = {"default": 0.4, "classes": {}}
    stranger = {"X-CSRF-Token": "0" * 64}
    assert running.client.put(ADDRESS, params={"station": "shed"}, json=wanted, headers=stranger).status_code == 403
    for default in (0, 1.5, -1):
        assert running.put(default)[0] == 422
    assert running.config.read_text() == FILE


def test_a_file_that_was_changed_and_not_read_is_left(running):
    running.config.write_text(FILE.replace("0.5", "0.9"))
    found = running.thresholds()
    assert (found["writable"], "not read again" in str(found["why"])) == (False, True)
    assert running.put(0.3)[0] == 400
    assert "0.9" in running.config.read_text()


def test_a_station_that_is_silent_is_not_waited_for(running):
    running.process.kill()
    running.process.wait()
    code, found = running.put(0.3)
    assert (code, running.config.read_text()) == (400, FILE)
    assert "this machine" in str(found["detail"])


def status_of(hub: Hub, process: object, now_ms: int) -> str:
    """Why the thresholds of a station cannot be changed that says it is this process."""
    status = next(message for message in samples() if message.kind == "status")
    told = {"process": process, "thresholds": "0" * 16, "reads": 1, "refused": None}
    record = parse(body("status", 99, {**status.fields, "configuration": told}), now_ms=2_000_000_000_000)
    Ingest(hub.store).apply([Item("garden", "garden", "b0", Position(99, "[]", 0), record)])
    return str(Thresholds(hub.store, lambda: now_ms).read("garden")["why"])


@pytest.mark.parametrize(
    ("process", "why"),
    [
        ("own", "is no `birdwatch listen`"),
        (2**31 - 1, "does not run on this machine"),
        ("1; rm", "does not say where it runs"),
        (-1, "does not say where it runs"),
        (True, "does not say where it runs"),
        (None, "does not say where it runs"),
    ],
)
def test_a_process_that_a_station_names_is_not_believed(tmp_path, process, why):
    hub = opened(tmp_path)
    fill(hub, 1)
    process = os.getpid() if process == "own" else process
    assert why in status_of(hub, process, START_MS + 100_000)
    assert "does not answer" in str(hub.thresholds.read("garden")["why"])
    assert "no station" in str(hub.thresholds.read("nowhere")["why"])
    hub.close()


def test_strangers_of_a_public_hub_see_no_path(tmp_path, tiny_model):
    station = Running(tmp_path, tiny_model)
    try:
        station.hub.access.set_password("correct horse")
        station.config.write_text(FILE.replace("0.5", "0.9"))
        assert station.client.get(ADDRESS, params={"station": "shed"}).status_code == 401
        object.__setattr__(station.hub.settings, "public", True)
        found = station.client.get(ADDRESS, params={"station": "shed"}).json()
        assert (found["writable"], found["why"]) == (False, "sign in to change thresholds")
    finally:
        station.close()
