"""Names that last, and finding a device by what a user knows of it."""

from __future__ import annotations

import pytest

from birdwatch.errors import DeviceError
from birdwatch.live import devices as devices_module
from birdwatch.live.devices import InputDevice, find_device, hardware_signature, stable_names

DEVICES = [
    InputDevice(1, "ALSA/USB PnP Sound Device: Audio", 1, 44100),
    InputDevice(4, "ALSA/HDA Intel: ALC287", 2, 48000, default=True),
    InputDevice(7, "ALSA/USB PnP Sound Device: Audio#2", 1, 44100),
]


def test_hardware_numbers_are_left_out_and_equal_names_are_numbered():
    names = [
        ("ALSA", "USB PnP Sound Device: Audio (hw:1,0)"),
        ("ALSA", "USB PnP Sound Device: Audio (hw:3,0)"),
        ("ALSA", "HD Audio: - (hw:0,0)"),
        ("ALSA", "pulse"),
        ("Core Audio", "Built-in Microphone"),
    ]
    assert stable_names(names) == [
        "ALSA/USB PnP Sound Device: Audio",
        "ALSA/USB PnP Sound Device: Audio#2",
        "ALSA/HD Audio",
        "ALSA/pulse",
        "Core Audio/Built-in Microphone",
    ]


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (None, 4),
        ("1", 1),
        ("ALSA/USB PnP Sound Device: Audio", 1),
        ("ALSA/USB PnP Sound Device: Audio#2", 7),
        ("hda intel", 4),
        ("#2", 7),
    ],
)
def test_found(wanted, index):
    assert find_device(wanted, DEVICES).index == index


@pytest.mark.parametrize(
    ("wanted", "words"),
    [("usb", "give more of its name"), ("2", "may be"), ("Zoom", "no input device is called 'Zoom'; there are: ALSA/")],
)
def test_not_found_says_what_there_is(wanted, words):
    devices = DEVICES if wanted != "2" else [*DEVICES, InputDevice(9, "ALSA/Scarlett 2i2", 2, 48000)]
    with pytest.raises(DeviceError, match=words):
        find_device(wanted, devices)


def test_the_hardware_signature_changes_with_cards_and_servers(tmp_path, monkeypatch):
    cards = tmp_path / "cards"
    monkeypatch.setattr(devices_module, "CARDS", cards)
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    monkeypatch.setattr(devices_module.sys, "platform", "linux")
    seen = [hardware_signature(environ)]
    cards.write_text("0 [PCH]")
    seen.append(hardware_signature(environ))
    cards.write_text("0 [PCH] 1 [Device]")
    seen.append(hardware_signature(environ))
    (tmp_path / "pulse").mkdir()
    (tmp_path / "pulse" / "native").touch()
    seen.append(hardware_signature(environ))
    assert hardware_signature(environ) == seen[-1]
    assert len(set(seen)) == 4
    assert hardware_signature({**environ, "PULSE_SERVER": "tcp:nas"}) is None
    monkeypatch.setattr(devices_module.sys, "platform", "darwin")
    assert hardware_signature(environ) is None


def test_no_device_at_all():
    with pytest.raises(DeviceError, match="no input device; connect"):
        find_device(None, [])
    with pytest.raises(DeviceError, match="no default input device"):
        find_device(None, DEVICES[:1])
