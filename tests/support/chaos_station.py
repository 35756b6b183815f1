"""The station under attack, a sound that it listens to, and its subscribers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import zmq
from sound_server import Pulse
from tiny_model import write_tiny_model

RATE_HZ = 48000


class Subscriber(threading.Thread):
    """Keeps the numbers of what it received."""

    def __init__(self, context: zmq.Context[Any], endpoint: str) -> None:
        super().__init__(daemon=True)
        self.seqs: list[tuple[str, int]] = []
        self.statuses: list[dict[str, Any]] = []
        self.ended = threading.Event()
        self._socket = context.socket(zmq.SUB)
        self._socket.linger = 0
        self._socket.connect(endpoint)
        self._socket.subscribe(b"birdwatch/1/")

    def run(self) -> None:
        """Receive until `ended`."""
        while not self.ended.is_set():
            if self._socket.poll(100):
                value = json.loads(self._socket.recv_multipart()[1])
                self.seqs.append((value["boot_id"], value["seq"]))
                if value["kind"] == "status":
                    self.statuses.append(value)
        self._socket.close()


class Station:
    """The process under attack."""

    def __init__(self, pulse: Pulse, folder: Path) -> None:
        ports = [free_port() for _ in range(2)]
        self.endpoint, self.replay_endpoint = (f"tcp://127.0.0.1:{port}" for port in ports)
        self.config, self.log = folder / "station.toml", folder / "log"
        self.good = (
            f'station = "chaos"\nmodel = "{write_tiny_model(folder / "tiny.onnx")}"\ndevice = "default"\n'
            f'threshold = 0.01\nrecording_seconds = 5.0\nbind = "{self.endpoint}"\n'
            f'replay_bind = "{self.replay_endpoint}"\njournal = "{folder / "messages.db"}"\n'
        )
        self.config.write_text(self.good)
        self.restarts = 0
        self._pulse, self._folder = pulse, folder
        self.process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "birdwatch", "listen", "--config", str(self.config)]
        with self.log.open("a") as stream:
            # Its threads are in the log where it has to be aborted.
            env = {**self._pulse.env, "PYTHONFAULTHANDLER": "1"}
            return subprocess.Popen(command, env=env, stderr=stream, cwd=self._folder, preexec_fn=_no_hangup)

    def ended(self) -> str | None:
        """Why it has ended, if it has; started again, as systemd would, where the sound library hangs for good."""
        code = self.process.poll()
        if code is None:
            return None
        # PortAudio writes there too, between and after birdwatch's own lines.
        log = "\n".join(line for line in self.log.read_text().splitlines() if not line.startswith("Expression"))
        # The warning that counts the lines of the sound library may come after the error.
        if code == 1 and any("the sound system has not answered" in line for line in log.strip().splitlines()[-2:]):
            self.restarts += 1
            self.process = self._started()
            return None
        return f"the station has ended ({code}): {log[-3000:]}"

    def resources(self) -> tuple[float, int, int]:
        """Resident memory in MB, descriptors, threads."""
        own = Path(f"/proc/{self.process.pid}")
        pages = int((own / "statm").read_text().split()[1])
        return (
            pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
            len(list((own / "fd").iterdir())),
            len(list((own / "task").iterdir())),
        )

    def reload(self, text: str) -> None:
        """Read another configuration."""
        self.config.write_text(text)
        self.process.send_signal(signal.SIGHUP)


def _no_hangup() -> None:
    """As nohup does: until the interpreter has loaded the station, nobody can take the signal."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Player:
    """Sound into the null sink, again and again."""

    def __init__(self, pulse: Pulse, folder: Path) -> None:
        self._pulse, self._path = pulse, folder / "sound.wav"
        rng, t = np.random.default_rng(0), np.arange(30 * RATE_HZ) / RATE_HZ
        sound = 0.05 * rng.normal(size=len(t)) + 0.2 * np.sin(2 * np.pi * 3000 * t) * (t % 7 < 2)
        soundfile.write(self._path, sound, RATE_HZ)
        self._playing = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        threading.Thread(target=self._run, daemon=True).start()
        self.play()

    def play(self) -> None:
        self._playing.set()

    def pause(self) -> None:
        self._playing.clear()
        if self._process is not None:
            self._process.kill()

    def _run(self) -> None:
        while True:
            self._playing.wait()
            self._process = self._pulse.play(self._path)
            self._process.wait()
            time.sleep(0.05)
