"""The real thing: PulseAudio's null sink as a microphone, `birdwatch listen`, a subscriber that knows only schemas."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from sound_server import Pulse, missing, wait_for

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "support"


pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


class Station:
    """`birdwatch listen` and its subscriber, both processes of their own."""

    def __init__(self, pulse: Pulse, model: Path, folder: Path) -> None:
        self.endpoint = f"ipc://{folder}/pub"
        command = [sys.executable, "-m", "birdwatch", "listen", "--device", "default", "--model", str(model)]
        command += ["--station", "garden", "--bind", self.endpoint, "--replay-bind", f"ipc://{folder}/replay"]
        command += ["--threshold", "0.01", "--recording-seconds", "5", "--save-clips", str(folder / "clips")]
        command += ["--journal", str(folder / "journal.db")]
        watch = [
            sys.executable,
            str(HERE / "plain_subscriber.py"),
            self.endpoint,
            str(ROOT / "birdwatch/messaging/schemas"),
        ]
        self.received, self.log = folder / "received", folder / "log"
        with self.received.open("w") as stream:
            self.subscriber = subprocess.Popen(watch, stdout=stream, cwd=folder)
        wait_for(self.received.read_text, "subscriber")
        with self.log.open("w") as stream:
            self.listener = subprocess.Popen(command, env=pulse.env, stderr=stream, cwd=folder)

    def everything(self) -> list[dict[str, Any]]:
        """All messages so far; the first line says that it subscribed, the last one may be half written."""
        return [json.loads(line) for line in self.received.read_text().split("\n")[1:-1]]

    def messages(self, kind: str) -> list[dict[str, Any]]:
        assert self.listener.poll() is None, self.log.read_text()
        return self._all(kind)

    def _all(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.everything() if message["kind"] == kind]

    def wait_state(self, *states: str) -> dict[str, Any]:
        def current() -> dict[str, Any] | None:
            told = self.messages("status")
            return told[-1] if told and told[-1]["state"] in states else None

        return wait_for(current, f"state {states}")  # type: ignore[no-any-return]

    def terminate(self) -> dict[str, Any]:
        self.listener.send_signal(signal.SIGTERM)
        assert self.listener.wait(10) == 0, self.log.read_text()
        return wait_for(
            lambda: next((s for s in self._all("status")[::-1] if s["state"] == "stopping"), None), "last status"
        )  # type: ignore[no-any-return]

    def kill(self) -> None:
        for process in (self.listener, self.subscriber):
            process.kill()
            process.wait()


@pytest.fixture
def pulse(tmp_path: Path) -> Iterator[Pulse]:
    server = Pulse(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def station(pulse: Pulse, tiny_model: Path, tmp_path: Path) -> Iterator[Station]:
    running = Station(pulse, tiny_model, tmp_path)
    yield running
    running.kill()


@pytest.mark.slow
def test_a_recording_played_into_a_microphone_is_detected(
    pulse: Pulse, station: Station, tmp_path: Path, song: np.ndarray
) -> None:
    soundfile.write(tmp_path / "song.wav", song, 32000)
    station.wait_state("listening", "degraded")
    player = pulse.play(tmp_path / "song.wav")
    for kind in ("detection", "recording", "event"):
        wait_for(partial(station.messages, kind), kind)
    assert player.wait(60) == 0
    last = station.terminate()
    # Silence before and after is not scored, and every second is accounted for.
    seconds = last["seconds"]
    assert seconds["skipped_silent"] > 0
    assert seconds["analysed"] > 5
    assert seconds["pending"] == 0
    total = seconds["analysed"] + seconds["skipped_silent"] + seconds["dropped"]
    assert seconds["captured"] == pytest.approx(total, abs=0.005)
    assert last["detections"] == len(station._all("detection"))
    assert last["device"] == "ALSA/default"
    detection, event = station._all("detection")[0], station._all("event")[0]
    assert detection["source"] == "ALSA/default"
    assert event["event_id"] in {found["event_id"] for found in station._all("detection")}
    clip, rate_hz = soundfile.read(event["clip"])
    assert len(clip) / rate_hz > 4
    assert np.max(np.abs(clip)) > 0.05
    # The subscriber would have ended at the first message that its schema does not allow.
    assert station.subscriber.poll() is None
    told = [message["seq"] for message in station.everything()]
    assert told == sorted(told)


@pytest.mark.slow
def test_a_sound_server_that_dies_and_comes_back_is_a_gap(pulse: Pulse, station: Station) -> None:
    station.wait_state("listening", "degraded")
    wait_for(lambda: station.messages("status")[-1]["seconds"]["captured"] > 2, "audio")
    pulse.stop()
    lost = station.wait_state("waiting-device")
    assert lost["reason"]
    pulse.start()
    station.wait_state("listening", "degraded")
    (gap,) = wait_for(lambda: station.messages("gap"), "gap")
    assert gap["reason"] in ("device-lost", "stall")
    assert gap["seconds"] > 0
    last = station.terminate()
    assert last["seconds"]["gap"] == pytest.approx(gap["seconds"], abs=0.005)
