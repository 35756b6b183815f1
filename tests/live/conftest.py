from __future__ import annotations

import sys
import threading

import pytest
from fake_sound import FakeSound

from birdwatch.live import microphone
from birdwatch.live.sound_system import SoundSystem


@pytest.fixture
def hardware(monkeypatch):
    """What the kernel says of sound cards: a list whose only item a test may change."""
    says = ["one card"]
    monkeypatch.setattr(microphone, "hardware_signature", lambda: says[0])
    return says


@pytest.fixture
def sound(monkeypatch, hardware):
    fake = FakeSound()
    monkeypatch.setattr(microphone, "_SYSTEM", SoundSystem())
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    yield fake
    fake.release.set()
    for thread in threading.enumerate():
        if thread.name in ("open-device", "close-device"):
            thread.join(10)
