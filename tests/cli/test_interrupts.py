"""A network that never comes back does not keep the program from ending."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from endless_model import write_endless_model

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def started(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "birdwatch", *words],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder)},
        cwd=folder,
    )


def busy(process: subprocess.Popen[str], cpu_s: float) -> None:
    """Wait until it has computed for a while, or has ended."""
    end = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        values = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        if (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK") > cpu_s:
            return
        threading.Event().wait(0.05)
    raise AssertionError(process.stderr.read() if process.stderr and process.poll() is not None else "it does not run")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    model, sound = write_endless_model(tmp_path / "endless.onnx"), tmp_path / "noise.wav"
    soundfile.write(sound, np.random.default_rng(0).normal(0, 0.1, 32000 * 6), 32000)
    return model, sound


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads processor times from /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["run", "listen"])
def test_an_endless_graph_is_left_in_five_seconds(
    tmp_path: Path, files: tuple[Path, Path], number: signal.Signals, command: str
) -> None:
    model, sound = files
    words = {
        "run": ["run", str(sound), "--out", "out.csv", "--model", str(model)],
        "listen": [
            *("listen", "--source", str(sound), "--model", str(model), "--bind", "tcp://127.0.0.1:*"),
            *("--replay-bind", "off", "--journal-max-mb", "0"),
        ],
    }[command]
    with started(tmp_path, *words) as process:
        try:
            busy(process, 4.0)
            began = time.monotonic()
            process.send_signal(number)
            assert process.wait(20) != 0
            # Five, and room for a busy machine.
            assert time.monotonic() - began < 10
        finally:
            process.kill()
