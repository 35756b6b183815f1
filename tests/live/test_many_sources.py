"""The real daemon with a sound card's two channels, an Icecast stream and a folder, changed by SIGHUP while it runs."""

from __future__ import annotations

import functools
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import zmq
from sound_server import Pulse, missing, wait_for
from stream_servers import PASSWORD, StreamServer

pytest.importorskip("av")
pytest.importorskip("watchfiles")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(missing() is not None, reason=str(missing()))]


class Ear:
    """Keeps all messages of a daemon."""

    def __init__(self, endpoint: str) -> None:
        self.received: list[dict[str, Any]] = []
        self._ended = threading.Event()
        self._endpoint = endpoint
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with zmq.Context() as context, context.socket(zmq.SUB) as sock:
            sock.linger, sock.rcvhwm = 0, 0
            sock.connect(self._endpoint)
            sock.subscribe(b"")
            while not self._ended.is_set():
                if sock.poll(100):
                    self.received.append(json.loads(sock.recv_multipart()[1]))

    def of(self, station: str, kind: str) -> list[dict[str, Any]]:
        return [one for one in list(self.received) if (one["station"], one["kind"]) == (station, kind)]

    def state(self, station: str) -> str | None:
        told = self.of(station, "status")
        return told[-1]["state"] if told else None

    def listens(self, station: str, seconds: float) -> bool:
        told = self.of(station, "status")
        return bool(told) and told[-1]["state"] == "listening" and told[-1]["seconds"]["analysed"] >= seconds

    def close(self) -> None:
        self._ended.set()
        self._thread.join()


@pytest.fixture
def stereo(tmp_path: Path) -> Iterator[Pulse]:
    folder = tmp_path / "sound"
    folder.mkdir()
    value = Pulse(folder, channels=2)
    value.start()
    yield value
    value.stop()


@pytest.fixture
def ponds(tmp_path: Path) -> Iterator[Pulse]:
    folder = tmp_path / "sound"
    folder.mkdir()
    value = Pulse(folder, more=["pond"])
    value.start()
    yield value
    value.stop()


@pytest.fixture
def radio(tmp_path: Path) -> Iterator[StreamServer]:
    folder = tmp_path / "radio"
    folder.mkdir()
    value = StreamServer("icecast", folder)
    yield value.start()
    value.kill()


def test_a_pair_a_stream_and_a_folder_in_one_daemon_and_reloads_that_touch_no_other(
    tmp_path: Path, tiny_model: Path, stereo: Pulse, radio: StreamServer
) -> None:
    cards, config, log = tmp_path / "cards", tmp_path / "station.toml", tmp_path / "log"
    cards.mkdir()
    # Sound on the left channel only.
    t = np.arange(120 * 48000) / 48000
    left = 0.3 * np.sin(2 * np.pi * 3000 * t)
    soundfile.write(tmp_path / "left.wav", np.stack([left, np.zeros(len(t))], axis=1), 48000)
    endpoint = f"ipc://{tmp_path}/pub"
    shared = (
        f'model = "{tiny_model}"\nthreshold = 0.01\nrecording_seconds = 5.0\nbind = "{endpoint}"\n'
        f'replay_bind = "off"\njournal = "{tmp_path}/messages.db"\n'
    )
    pair = '[source.pair]\ndevice = "default"\nchannel = "each"\n'
    meadow = f'[source.meadow]\nurl = "{radio.url}"\n'
    config.write_text(f'{shared}{pair}{meadow}[source.cards]\nfolder = "{cards}"\n')
    player = stereo.play(tmp_path / "left.wav")
    command = [sys.executable, "-m", "birdwatch", "listen", "--config", str(config)]
    with log.open("w") as stream:
        daemon = subprocess.Popen(command, env=stereo.env, stderr=stream, cwd=tmp_path)
    ear = Ear(endpoint)
    try:
        for name in ("pair-0", "meadow"):
            wait_for(functools.partial(ear.listens, name, 5), f"{name}: {log.read_text()}")
        wait_for(lambda: ear.state("pair-1"), "second channel")
        soundfile.write(cards / "20240513_043000.wav", left[: 10 * 48000], 48000)
        wait_for(lambda: ear.of("cards", "recording"), "recording of the folder")
        assert ear.of("cards", "recording")[0]["start"] == "2024-05-13T04:30:00.000Z"
        # The folder goes, the stream gets another threshold, the pair stays as it is.
        config.write_text(f"{shared}{pair}{meadow}threshold = 0.02\n")
        daemon.send_signal(signal.SIGHUP)
        wait_for(lambda: ear.state("cards") == "stopping", "end of the folder")
        # A mistake changes nothing.
        config.write_text(f"{shared}{meadow}treshold = 0.02\n")
        daemon.send_signal(signal.SIGHUP)
        wait_for(lambda: "not reloaded" in log.read_text(), "refusal")
        before = ear.of("pair-0", "status")[-1]["seconds"]["analysed"]
        wait_for(lambda: ear.listens("pair-0", before + 5) and ear.listens("meadow", before), "both after the reloads")
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(15) == 0, log.read_text()
        wait_for(lambda: ear.state("pair-0") == "stopping", "last status")
    finally:
        for process in (daemon, player):
            process.kill()
            process.wait()
        ear.close()
    stations = {message["station"] for message in ear.received}
    assert stations == {"pair-0", "pair-1", "meadow", "cards"}
    for name in stations:
        assert len({message["boot_id"] for message in ear.received if message["station"] == name}) == 1
    # The right channel is silent, and accounted for as that.
    right = ear.of("pair-1", "status")[-1]
    assert ear.of("pair-1", "detection") == []
    assert right["seconds"]["skipped_silent"] > 0.8 * right["seconds"]["captured"] > 4
    assert ear.of("pair-0", "detection")
    assert {found["threshold"] for found in ear.of("meadow", "detection")} == {0.01, 0.02}
    text = log.read_text() + "".join(map(str, ear.received))
    assert PASSWORD not in text


def test_two_microphones_in_one_daemon(tmp_path: Path, tiny_model: Path, ponds: Pulse) -> None:
    """PortAudio's list of devices was made anew for the second one, under the first one's stream: a crash."""
    endpoint, log, config = f"ipc://{tmp_path}/pub", tmp_path / "log", tmp_path / "station.toml"
    config.write_text(
        f'model = "{tiny_model}"\nbind = "{endpoint}"\nreplay_bind = "off"\njournal = "{tmp_path}/messages.db"\n'
        '[source.garden]\ndevice = "ALSA/default"\n[source.pond]\ndevice = "ALSA/pond"\n'
    )
    command = [sys.executable, "-m", "birdwatch", "listen", "--config", str(config)]
    with log.open("w") as stream:
        daemon = subprocess.Popen(command, env=ponds.env, stderr=stream, cwd=tmp_path)
    ear = Ear(endpoint)

    def both() -> bool:
        assert daemon.poll() is None, (daemon.returncode, log.read_text())
        told = {message["station"] for message in list(ear.received) if message["kind"] == "status"}
        # A null sink that nothing is played into is silent.
        return len(told) == 2 and all(ear.of(name, "status")[-1]["seconds"]["skipped_silent"] >= 5 for name in told)

    try:
        wait_for(both, f"both: {log.read_text()}")
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(15) == 0, log.read_text()
    finally:
        daemon.kill()
        daemon.wait()
        ear.close()
    assert not [message for message in ear.received if message["kind"] == "gap"]
