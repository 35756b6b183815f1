"""`birdwatch listen` as a process that scores what is written to its stdin, and its messages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import zmq

__all__ = ["ROOT", "Running"]

ROOT = Path(__file__).resolve().parents[2]


class Running:
    """A station that scores what is written to its stdin, and its messages."""

    def __init__(self, folder: Path, model: Path, *options: str, tables: str | None = None) -> None:
        self.log = folder / "log"
        self.config = folder / "station.toml"
        self.config.write_text(tables or "threshold = 0.01\n")
        context = zmq.Context()
        self.socket = context.socket(zmq.SUB)
        self.socket.subscribe("birdwatch/1/")
        self.socket.connect(f"ipc://{folder}/pub")
        command = [sys.executable, "-m", "birdwatch", "listen", "--config", str(self.config)]
        command += [] if tables else ["--source", "-"]
        command += ["--model", str(model), "--bind", f"ipc://{folder}/pub", "--replay-bind", "off"]
        command += ["--journal-max-mb", "0", "--raw-rate", "32000", *options]
        with self.log.open("w") as stream:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stderr=stream, env={**os.environ, "PYTHONPATH": str(ROOT)}
            )

    def feed(self, samples: np.ndarray) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write((samples * 32767).astype("<i2").tobytes())
        self.process.stdin.flush()

    def next(self, kind: str, **fields: Any) -> dict[str, Any]:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if self.socket.poll(200):
                message: dict[str, Any] = json.loads(self.socket.recv_multipart()[1])
                if message["kind"] == kind and fields.items() <= message.items():
                    return message
        raise AssertionError(f"no {kind} with {fields}; {self.log.read_text()}")

    def wait_log(self, words: str) -> None:
        until = time.monotonic() + 60
        while words not in self.log.read_text():
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.02)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.socket.close(0)
        self.socket.context.term()
