"""A PulseAudio server of its own with a null sink, as a microphone that tests and the chaos script play into."""

from __future__ import annotations

import ctypes.util
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def missing() -> str | None:
    for tool, package in (("pulseaudio", "pulseaudio"), ("paplay", "pulseaudio-utils")):
        if shutil.which(tool) is None:
            return f"{package} is not installed"
    if ctypes.util.find_library("portaudio") is None:
        return "libportaudio2 is not installed"
    if not list(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so")):
        return "libasound2-plugins is not installed"
    return None


class Pulse:
    """A sound server of its own, whose null sink `garden` is the default microphone.

    more: further null sinks, each a microphone of its own name.
    """

    def __init__(self, folder: Path, *, channels: int = 1, more: Sequence[str] = ()) -> None:
        self.folder = folder
        self.channels = channels
        self.socket = folder / "native"
        self.more = more
        named = [f'pcm.{name} {{ type pulse\ndevice "{name}.monitor" }}' for name in more]
        default = ["pcm.!default { type pulse }", "ctl.!default { type pulse }"]
        (folder / ".asoundrc").write_text("\n".join([*default, *named, ""]))
        self.env = {
            **os.environ,
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "PULSE_RUNTIME_PATH": str(folder),
            "PULSE_STATE_PATH": str(folder),
            "PULSE_SERVER": f"unix:{self.socket}",
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.socket.unlink(missing_ok=True)
        modules = [
            f"module-native-protocol-unix socket={self.socket} auth-anonymous=1",
            f"module-null-sink sink_name=garden rate=48000 channels={self.channels}",
            *(f"module-null-sink sink_name={name} rate=48000 channels=1" for name in self.more),
        ]
        self.process = subprocess.Popen(
            ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes"]
            + [part for module in modules for part in ("-L", module)],
            env=self.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(lambda: self.pactl().returncode == 0, "PulseAudio")

    def pactl(self) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["pactl", "info"], env=self.env, capture_output=True, check=False)

    def play(self, path: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["paplay", "-d", "garden", str(path)], env=self.env)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    until = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < until, f"no {what} within {seconds:g} s"
        time.sleep(0.05)
    return answer
