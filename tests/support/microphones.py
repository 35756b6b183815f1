"""Opening a microphone, and waiting for its outcome."""

from __future__ import annotations

import time

from fakes import FakeClock

from birdwatch.live.microphone import Microphone


def opened(wanted: str | None = None) -> Microphone:
    source = Microphone(wanted, FakeClock())
    open_(source)
    return source


def open_(source: Microphone) -> None:
    source.open()
    outcome(source)


def outcome(source: Microphone) -> None:
    until = time.monotonic() + 10
    while not source.ready():
        assert time.monotonic() < until
        time.sleep(0.001)
