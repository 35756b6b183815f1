"""A sound library that hangs, is missing or waits at the end, and a signal while a microphone is read."""

from __future__ import annotations

import builtins
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from fakes import FakeClock
from microphones import opened

from birdwatch.errors import DeviceError
from birdwatch.live import microphone
from birdwatch.live.microphone import Microphone, input_devices


def test_a_library_that_hangs_does_not_hang_the_caller(sound, monkeypatch):
    monkeypatch.setattr(microphone, "CLOSE_S", 0.01)
    source = opened()
    assert not source.hangs
    sound.hang_in = {"abort"}
    source.open()
    assert not source.ready()
    assert source.read(0.0) == []
    source.close()
    assert source.hangs


def test_closing_does_not_wait_for_a_library_that_hangs_while_it_opens_a_device(sound, monkeypatch):
    """Seconds after the station's last look at its outage would be in no accounting."""
    monkeypatch.setattr(microphone, "CLOSE_S", 60.0)
    source = opened()
    sound.hang_in = {"abort"}
    source.open()
    began = time.monotonic()
    source.close()
    assert time.monotonic() - began < 30
    assert source.hangs
    sound.release.set()
    for thread in threading.enumerate():
        if thread.name in ("open-device", "close-device"):
            thread.join(10)
    assert not source.hangs
    assert sound.running == []


def test_without_portaudio_it_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "sounddevice":
            raise OSError("PortAudio library not found")
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(DeviceError, match="sudo apt install libportaudio2"):
        Microphone(None, FakeClock())
    with pytest.raises(DeviceError, match="libportaudio2"):
        input_devices()


def test_the_end_does_not_wait_for_the_sound_library():
    """Its own clean-up, registered for the end of the process, may wait for ever for a sound server that is gone."""
    program = """
import atexit, sys, threading, types
library = types.ModuleType("sounddevice")
library._exit_handler = threading.Event().wait
atexit.register(library._exit_handler)
sys.modules["sounddevice"] = library
from birdwatch.live.microphone import _sounddevice
assert _sounddevice() is library
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0


def test_a_signal_whose_handler_outlasts_the_timeout_does_not_keep_read_waiting(sound):
    source = opened()

    def handler(_number, _frame):
        until = time.monotonic() + 0.2
        while time.monotonic() < until:
            pass

    before = signal.signal(signal.SIGALRM, handler)
    # Should it wait for ever: this ends it.
    late = threading.Timer(10.0, sound.running[0].play, [np.zeros(10)])
    late.start()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        assert source.read(0.1) == []
    finally:
        late.cancel()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
