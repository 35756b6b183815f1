"""The microphone against a sound library that does as it is told."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import FakeClock
from microphones import open_, opened, outcome

from birdwatch.errors import DeviceError
from birdwatch.live import microphone
from birdwatch.live.microphone import BLOCKS_A_SECOND, QUEUE_S, Microphone, input_devices
from birdwatch.live.sound_system import SETTLED_S


def test_devices_have_lasting_names_and_rates(sound):
    sound.devices = [
        ("Loud: speaker (hw:0,0)", 0, 48000),
        ("Garden: USB Audio (hw:1,0)", 1, 44100),
        ("pulse", 32, 44100),
    ]
    sound.default_input = 2
    found = input_devices()
    assert [(d.index, d.stable, d.channels, d.rate_hz, d.default) for d in found] == [
        (1, "ALSA/Garden: USB Audio", 1, 44100, False),
        (2, "ALSA/pulse", 32, 44100, True),
    ]


def test_it_opens_at_the_devices_own_rate_and_channels(sound):
    sound.devices = [("Stereo (hw:0,0)", 2, 96000)]
    source = opened()
    (stream,) = sound.running
    assert (stream.options["samplerate"], stream.options["channels"]) == (96000, 2)
    assert stream.options["blocksize"] == 96000 // BLOCKS_A_SECOND
    assert source.name == "ALSA/Stereo"


def test_where_its_own_rate_is_refused_another_is_tried(sound, caplog):
    sound.devices = [("Odd (hw:0,0)", 2, 192000)]
    sound.refused = {(192000, 2), (192000, 1), (48000, 2)}
    caplog.set_level("INFO")
    opened()
    (stream,) = sound.running
    assert (stream.options["samplerate"], stream.options["channels"]) == (48000, 1)
    assert "ALSA/Odd refused its native 192000 Hz with 2 channels; opened at 48000 Hz with 1" in caplog.text


def test_chunks_are_copies_with_the_time_of_the_callback(sound):
    source = opened()
    (stream,) = sound.running
    stream.play(np.arange(4) / 8)
    source._clock.advance(0.05)
    stream.play(np.arange(4, 8) / 8, overflow=True)
    first, second = source.read(1.0)
    assert first.samples[:, 0].tolist() == [0, 0.125, 0.25, 0.375]
    assert second.samples[:, 0].tolist() == [0.5, 0.625, 0.75, 0.875]
    assert (first.overflow, second.overflow) == (False, True)
    assert second.stamp.steady_ns - first.stamp.steady_ns == 50_000_000
    assert source.read(0.0) == []


def test_a_full_queue_counts_what_it_cost_and_tells_it_with_the_next_chunk(sound):
    source = opened()
    (stream,) = sound.running
    limit = QUEUE_S * BLOCKS_A_SECOND
    for _ in range(limit + 3):
        stream.play(np.zeros(10))
    assert len(source.read(1.0)) == limit
    stream.play(np.zeros(10))
    stream.play(np.zeros(10))
    assert [chunk.lost_frames for chunk in source.read(1.0)] == [30, 0]


def test_a_number_is_warned_about_and_the_stable_name_shown(sound, caplog):
    source = opened("0")
    assert "numbers change" in caplog.text
    assert "ALSA/Garden: USB Audio" in caplog.text
    assert source.name == "ALSA/Garden: USB Audio"


def test_unplugged_and_plugged_in_again_under_another_number(sound, hardware):
    source = opened("0")
    sound.running[0].vanish()
    with pytest.raises(DeviceError, match="stopped"):
        source.read(0.0)
    sound.devices = []
    source.open()
    with pytest.raises(DeviceError, match="no input device"):
        outcome(source)
    hardware[0] = "two cards"
    sound.devices = [
        ("HDMI (hw:0,0)", 2, 48000),
        ("Other: mic (hw:1,0)", 1, 48000),
        ("Garden: USB Audio (hw:2,0)", 1, 44100),
    ]
    open_(source)
    assert sound.running[0].options["device"] == 2
    assert source.name == "ALSA/Garden: USB Audio"


def test_an_absent_device_costs_a_new_list_only_when_the_hardware_changes_and_each_minute(sound, hardware, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(microphone.time, "monotonic", lambda: now[0])
    sound.devices = []
    source = Microphone("Garden", FakeClock())

    def attempts(count):
        scans = sound.scans
        for _ in range(count):
            now[0] += 4.0
            source.open()
            source._opener.join(10)
            with pytest.raises(DeviceError, match="no input device"):
                source.ready()
        return sound.scans - scans

    assert attempts(4) == 4  # a while after the start
    assert attempts(30) == 2
    hardware[0] = "another card"
    assert attempts(4) == 4
    assert attempts(10) == 0
    hardware[0] = None  # a machine that cannot tell
    assert attempts(5) == 5


def test_two_microphones_are_opened_from_one_list_one_after_the_other(sound):
    sound.devices = [("Pond (hw:0,0)", 1, 48000), ("Roof (hw:1,0)", 2, 44100)]
    sources = [Microphone(name, FakeClock()) for name in ("Pond", "Roof")]
    for source in sources:
        source.open()
    for source in sources:
        outcome(source)
    assert sorted(stream.options["device"] for stream in sound.running) == [0, 1]
    assert sound.scans == 1


def test_a_second_microphone_that_comes_costs_the_first_a_moment_and_one_that_is_missing_nothing(
    sound, hardware, monkeypatch
):
    now = [0.0]
    monkeypatch.setattr(microphone.time, "monotonic", lambda: now[0])
    sound.devices = [("Pond (hw:0,0)", 1, 48000)]
    pond, roof = opened("Pond"), Microphone("Roof", FakeClock())

    def looks():
        roof.open()
        roof._opener.join(10)
        with pytest.raises(DeviceError, match="Roof"):
            roof.ready()

    for _ in range(50):
        now[0] += 4.0
        looks()
    assert (sound.scans, len(sound.running)) == (1, 1)
    # It is plugged in, and is in the list only when that has settled.
    hardware[0] = "two cards"

    def pond_is_opened_again():
        with pytest.raises(DeviceError, match="stopped"):
            pond.read(0.0)
        open_(pond)
        return sound.scans

    looks()
    scans = pond_is_opened_again()
    looks()
    assert (sound.scans, len(sound.running)) == (scans, 1)
    sound.devices.append(("Roof (hw:1,0)", 2, 44100))
    now[0] += SETTLED_S
    open_(roof)
    scans = pond_is_opened_again()
    assert len(sound.running) == 2
    for _ in range(50):
        now[0] += 4.0
        roof.close()
        open_(roof)
    assert (sound.scans, len(sound.running)) == (scans, 2)


def test_an_old_streams_callback_cannot_disturb_a_new_stream(sound):
    source = opened()
    (old,) = sound.running
    old.play(np.zeros(10))
    open_(source)
    old.play(np.zeros(10))
    assert old.closed
    assert source.read(0.0) == []


def test_a_device_that_will_not_open_says_why(sound):
    sound.refused = {(rate, channels) for rate in (44100, 48000, 32000, 16000) for channels in (1, 2)}
    source = Microphone(None, FakeClock())
    source.open()
    with pytest.raises(DeviceError, match=r"cannot be opened \(44100 Hz, 1 channels: Invalid sample rate"):
        outcome(source)
