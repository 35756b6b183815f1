from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sample_messages import status_message

from birdwatch.cli.doctor import doctor as command
from birdwatch.config.schema import Settings
from birdwatch.errors import DeviceError
from birdwatch.live import doctor
from birdwatch.live.devices import InputDevice
from birdwatch.messaging.curve import make_server_keys
from birdwatch.messaging.messages import Envelope
from birdwatch.messaging.publisher import Publisher

USB = InputDevice(index=3, stable="ALSA/USB Audio", channels=1, rate_hz=48_000, default=True)


@pytest.fixture
def station(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A station where all is well: one microphone, a model, free ports, an empty disk."""
    monkeypatch.setattr(doctor, "input_devices", lambda: [USB])
    return Settings(
        model=tiny_model,
        provider="cpu",
        bind="tcp://127.0.0.1:*",
        replay_bind="tcp://127.0.0.1:*",
        journal=tmp_path / "state" / "journal.db",
        journal_max_mb=1.0,
    )


def verdicts(settings: Settings, **changes: Any) -> dict[str, tuple[str, str]]:
    return {f.what: (f.verdict, f.text) for f in doctor.findings(replace(settings, **changes))}


def test_all_is_well(station: Settings) -> None:
    found = verdicts(station)
    assert {verdict for verdict, _ in found.values()} == {"fine"}, found
    assert {"sound", "device", "model", "provider", "bind", "replay_bind", "journal"} <= set(found)
    assert "ALSA/USB Audio, 1 channels at 48000 Hz" in found["device"][1]
    assert "ms a window of each" in found["provider"][1]
    assert not (station.journal or Path()).parent.exists()  # it looks and leaves nothing behind


def test_no_sound_system(station: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> list[InputDevice]:
        raise DeviceError("PortAudio is missing; apt install libportaudio2")

    monkeypatch.setattr(doctor, "input_devices", missing)
    assert verdicts(station)["sound"] == ("stops", "PortAudio is missing; apt install libportaudio2")


def test_no_device_and_a_wrong_one(station: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert verdicts(station, device="nope")["device"][0] == "stops"
    assert "ALSA/USB Audio" in verdicts(station, device="nope")["device"][1]
    monkeypatch.setattr(doctor, "input_devices", list)
    assert verdicts(station)["device"] == ("stops", "there is no input device; connect a microphone")


def test_a_number_is_warned_of_with_the_name_that_lasts(station: Settings) -> None:
    verdict, text = verdicts(station, device="3")["device"]
    assert verdict == "warns"
    assert "--device 'ALSA/USB Audio'" in text


def test_a_microphone_of_others_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pcmC0D0c").touch()
    assert doctor._hidden_sound(tmp_path) == ""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "pcmC0D0c is not yours to use: sudo usermod -aG audio" in doctor._hidden_sound(tmp_path)
    assert doctor._hidden_sound(tmp_path / "none") == ""


def test_a_source_takes_the_microphones_place(station: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    assert verdicts(station, source=str(tmp_path / "a.wav"))["source"][0] == "fine"
    assert verdicts(station, source=str(tmp_path / "b.wav"))["source"][0] == "stops"
    assert "sound" not in verdicts(station, source="-")


def test_a_model_that_is_none(station: Settings, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_text("text")
    for path in (tmp_path / "bad.onnx", tmp_path / "none.onnx"):
        verdict, text = verdicts(station, model=path)["model"]
        assert verdict == "stops"
        assert str(path) in text


def test_cuda_that_is_asked_for_and_missing(station: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "cuda_fault", lambda: "libcublas.so.12 is missing")
    verdict, text = verdicts(station, provider="cuda")["provider"]
    assert verdict == "stops"
    assert "libcublas.so.12" in text


@pytest.mark.parametrize(("took_s", "verdict"), [(0.1, "fine"), (1.6, "warns"), (3.0, "stops")])
def test_a_machine_that_is_too_slow(
    station: Settings, monkeypatch: pytest.MonkeyPatch, took_s: float, verdict: str
) -> None:
    monkeypatch.setattr(doctor, "_timed", lambda model, samples: took_s)
    assert verdicts(station, hop=2.5)["provider"][0] == verdict


@pytest.mark.slow
def test_a_port_of_a_running_station_is_distinguished_from_another_program_s(station: Settings) -> None:
    with Publisher("tcp://127.0.0.1:*", Envelope("garden", "mic", "b0")) as other:
        other.publish(status_message())
        assert verdicts(station, bind=other.endpoint)["bind"][0] == "stops"
        assert verdicts(station, replay_bind=other.endpoint)["replay_bind"][0] == "stops"
        assert "--replay-bind" in verdicts(station, replay_bind=other.endpoint)["replay_bind"][1]


def test_a_running_station_is_named(station: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with Publisher("tcp://127.0.0.1:*", Envelope("garden", "mic", "b0")) as other:
        other.publish(status_message())
        listening = doctor.Subscriber

        class Polled(listening):  # type: ignore[misc, valid-type]
            """The other station's loop runs while we wait, as it would in its own process."""

            def receive(self, timeout_s: float) -> tuple[bytes, bytes] | None:
                for _ in range(2000):
                    other.poll()
                    if message := super().receive(0.005):
                        return message
                return None

        monkeypatch.setattr(doctor, "Subscriber", Polled)
        verdict, text = verdicts(station, bind=other.endpoint)["bind"]
    assert verdict == "warns"
    assert text.endswith("is that of station garden, which is running")


def test_an_open_port_needs_keys(station: Settings, tmp_path: Path) -> None:
    assert verdicts(station, bind="tcp://0.0.0.0:*")["bind"][0] == "stops"
    make_server_keys(tmp_path / "keys")
    found = verdicts(station, bind="tcp://0.0.0.0:*", curve_keys=tmp_path / "keys")["bind"]
    assert found == ("fine", "tcp://0.0.0.0:* is free, keys are required")


def test_a_disk_that_is_full_or_refuses_is_no_reason_not_to_listen(
    station: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = verdicts(station, journal=Path("/proc/birdwatch/j.db"), save_clips=tmp_path, clips_max_gb=1e9)
    assert found["save_clips"][0] == "warns"
    assert "make room" in found["save_clips"][1]
    (tmp_path / "file").touch()
    assert verdicts(station, journal=tmp_path / "file" / "j.db")["journal"][0] == "warns"


def test_the_command_ends_with_what_it_means(station: Settings, tmp_path: Path) -> None:
    options = [
        "--model",
        str(station.model),
        "--bind",
        "tcp://127.0.0.1:*",
        "--replay-bind",
        "off",
        "--provider",
        "cpu",
    ]
    options += ["--journal", str(tmp_path / "j.db"), "--journal-max-mb", "1"]
    good = CliRunner().invoke(command, options)
    assert (good.exit_code, good.output.splitlines()[-1]) == (0, "birdwatch can listen")
    bad = CliRunner().invoke(command, [*options, "--device", "nope"])
    assert bad.exit_code == 1
    assert bad.output.splitlines()[-1] == "1 of these would prevent birdwatch from listening"
