"""`birdwatch hub` as a process of its own, by its command."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from subscribers import tick, until

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "a-long-password"


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Of a user whose home is `folder`."""
    own = {"HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"), "PYTHONPATH": str(ROOT)}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BIRDWATCH_")}
    return {**kept, **own, **more}


def call(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run `birdwatch hub WORDS` to its end."""
    command = [sys.executable, "-m", "birdwatch", "hub", *words]
    return subprocess.run(
        command, env=environment(folder, **more), capture_output=True, text=True, timeout=120, check=False
    )


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def hub_process(folder: Path, *options: str) -> Iterator[str]:
    """Its host and port, while it serves."""
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "birdwatch", "hub", "--http", address, *options]
    with (folder / "hub.log").open("w") as log:
        process = subprocess.Popen(command, env=environment(folder), stderr=log)

    def serves() -> bool:
        assert process.poll() is None, (folder / "hub.log").read_text()
        with socket.socket() as sock:
            sock.settimeout(1)
            return sock.connect_ex(("127.0.0.1", int(address.rpartition(":")[2]))) == 0

    try:
        until(serves, tick, deadline_s=60)
        yield address
    finally:
        process.terminate()
        process.wait(30)
