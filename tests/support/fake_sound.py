"""A sound library that does as it is told: stands in for `sounddevice`, at the one place that imports it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np


class PortAudioError(Exception):
    pass


class FakeStream:
    def __init__(self, library: FakeSound, options: dict[str, Any]) -> None:
        self.library = library
        self.options = options
        self.callback: Callable[..., None] = options["callback"]
        self.closed = False

    def start(self) -> None:
        self.library.wait_if("start")
        self.library.running.append(self)

    def abort(self) -> None:
        self.library.wait_if("abort")
        if self in self.library.running:
            self.library.running.remove(self)
        # PortAudio calls it whenever a stream ends, for whatever reason.
        self.options["finished_callback"]()

    def close(self) -> None:
        self.closed = True

    def play(self, samples: np.ndarray, *, overflow: bool = False) -> None:
        """Call back as PortAudio's thread would, from a buffer that it uses again afterwards."""
        buffer = np.array(samples, np.float32).reshape(-1, self.options["channels"])
        self.callback(buffer, len(buffer), None, SimpleNamespace(input_overflow=overflow))
        buffer[:] = np.nan

    def vanish(self) -> None:
        """The device is unplugged."""
        self.library.running.remove(self)
        self.options["finished_callback"]()


class FakeSound:
    """devices: (name, input channels, rate). refused: (rate, channels) that will not open. hang_in: calls that hang."""

    PortAudioError = PortAudioError

    def __init__(self) -> None:
        self.devices: list[tuple[str, int, int]] = [("Garden: USB Audio (hw:1,0)", 1, 44100)]
        self.default_input = 0
        self.refused: set[tuple[int, int]] = set()
        self.hang_in: set[str] = set()
        self.release = threading.Event()
        self.streams: list[FakeStream] = []
        self.running: list[FakeStream] = []
        self.scans = 0

    def wait_if(self, call: str) -> None:
        if call in self.hang_in:
            self.release.wait(30)

    @property
    def default(self) -> SimpleNamespace:
        return SimpleNamespace(device=[self.default_input, 0])

    def _terminate(self) -> None:
        self.wait_if("terminate")
        assert not self.running, "PortAudio was ended under an open stream"

    def _initialize(self) -> None:
        self.scans += 1

    def query_devices(self) -> list[dict[str, Any]]:
        return [
            {"name": name, "hostapi": 0, "max_input_channels": channels, "default_samplerate": float(rate)}
            for name, channels, rate in self.devices
        ]

    def query_hostapis(self) -> list[dict[str, Any]]:
        return [{"name": "ALSA"}]

    def InputStream(self, **options: Any) -> FakeStream:  # noqa: N802
        if (options["samplerate"], options["channels"]) in self.refused:
            raise PortAudioError("Invalid sample rate [PaErrorCode -9997]")
        stream = FakeStream(self, options)
        self.streams.append(stream)
        return stream
