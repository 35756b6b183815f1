"""`birdwatch listen` as a process: fed through a pipe, told by signals, and what it refuses."""

from __future__ import annotations

import json
import signal
import socket
import sys
import time

import pytest
import soundfile
from click.testing import CliRunner
from fake_sound import FakeSound
from listening import Running

from birdwatch.cli import listen as module
from birdwatch.cli.devices import devices
from birdwatch.cli.listen import listen
from birdwatch.errors import BirdwatchError

pytestmark = pytest.mark.slow


@pytest.fixture
def running(tmp_path, tiny_model):
    station = Running(tmp_path, tiny_model)
    yield station
    station.close()


def test_a_pipe_is_scored_and_signals_are_followed(running, song):
    # A pipe's start may be over before a subscriber has connected: it is seen to be there first.
    running.next("status")
    running.feed(song[: 6 * 32000])
    detection = running.next("detection")
    assert detection["source"] == "-"

    running.config.write_text("threshold = 0.02\nhop = 1.0\n")
    running.process.send_signal(signal.SIGHUP)
    running.wait_log("configuration reloaded")
    assert "hop only after a restart" in running.log.read_text()
    running.feed(song[6 * 32000 : 11 * 32000])
    assert running.next("detection", start_s=5.0)["threshold"] == 0.02

    running.config.write_text("treshold = 0.9\n")
    running.process.send_signal(signal.SIGHUP)
    running.wait_log("the old one stays in force")
    assert "did you mean threshold?" in running.log.read_text()

    began = time.monotonic()
    running.process.send_signal(signal.SIGTERM)
    event = running.next("event")
    assert event["end_s"] == pytest.approx(11.0)
    assert running.next("status", state="stopping")
    assert running.process.wait(10) == 0, running.log.read_text()
    assert time.monotonic() - began < 10  # five, and room for a busy machine


def test_the_end_of_the_pipe_is_the_end(running, song):
    running.next("status")
    running.feed(song)
    running.process.stdin.close()
    assert len(running.next("recording")["scores"]) == 3
    last = running.next("status", state="stopping")
    while last["seconds"]["pending"]:
        last = running.next("status", state="stopping")
    assert last["seconds"]["captured"] == 13.0
    assert last["seconds"]["analysed"] == 13.0
    assert running.process.wait(30) == 0


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP here")
def test_a_reload_that_is_asked_for_before_the_start_is_remembered():
    before = signal.getsignal(signal.SIGHUP)
    try:
        came = module._note_reloads()
        assert not came
        signal.raise_signal(signal.SIGHUP)
        assert came
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_interrupt_stops_at_once(monkeypatch):
    taken, left, stops = {}, [], []
    monkeypatch.setattr(module.signal, "signal", taken.__setitem__)
    monkeypatch.setattr(module.os, "_exit", left.append)

    class Daemon:
        stop = staticmethod(lambda: stops.append(1))
        reload = staticmethod(lambda: None)

    module._take_signals(Daemon)
    taken[signal.SIGINT](signal.SIGINT, None)
    assert (stops, left) == ([1], [])
    taken[signal.SIGINT](signal.SIGINT, None)
    assert left == [130]


def refused(*arguments: str) -> str:
    # The default port may be in use: by a station of this machine.
    free = [] if "--bind" in arguments else ["--bind", "tcp://127.0.0.1:*"]
    result = CliRunner().invoke(listen, ["--journal-max-mb", "0", "--replay-bind", "off", *free, *arguments])
    assert isinstance(result.exception, BirdwatchError), result.output
    assert "\n" not in str(result.exception)
    return str(result.exception)


@pytest.fixture
def wav(tmp_path, song):
    path = tmp_path / "dawn.wav"
    soundfile.write(path, song, 32000)
    return path


def test_what_is_refused_is_refused_in_one_line(tmp_path, wav, tiny_model):
    text = tmp_path / "text.wav"
    text.write_text("no sound")
    model = ["--model", str(tiny_model)]
    assert "text.wav is not audio" in refused("--source", str(text), *model)
    assert "no such file" in refused("--source", str(tmp_path / "none.wav"), *model)
    assert "give one of them" in refused("--source", str(wav), "--device", "1", *model)
    assert "hop is 9 s" in refused("--source", str(wav), "--hop", "9", *model)
    assert "none.onnx cannot be read" in refused("--source", str(wav), "--model", str(tmp_path / "none.onnx"))
    assert "keys" in refused("--source", str(wav), "--bind", "tcp://0.0.0.0:5999", *model)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        assert f"{endpoint} is in use by another program" in refused("--source", str(wav), "--bind", endpoint, *model)


def test_devices_are_listed_with_names_that_last(monkeypatch):
    sound = FakeSound()
    sound.devices = [("Garden: USB Audio (hw:1,0)", 1, 44100), ("pulse", 32, 48000)]
    sound.default_input = 1
    monkeypatch.setitem(sys.modules, "sounddevice", sound)
    result = CliRunner().invoke(devices, [])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[1].split() == ["0", "ALSA/Garden:", "USB", "Audio", "1", "44100", "Hz"]
    assert lines[2].split() == ["*", "1", "ALSA/pulse", "32", "48000", "Hz"]
    rows = [json.loads(line) for line in CliRunner().invoke(devices, ["--json"]).stdout.splitlines()]
    assert rows[1] == {"number": 1, "name": "ALSA/pulse", "channels": 32, "rate_hz": 48000, "default": True}


def test_only_listed_species_are_published_and_a_reload_takes_another_list(tmp_path, tiny_model, song):
    names, listed = tmp_path / "de.txt", tmp_path / "garden.txt"
    names.write_text("Erithacus rubecula_Rotkehlchen\n")
    listed.write_text("European Robin\n")
    station = Running(tmp_path, tiny_model, "--locale", str(names), "--species", str(listed), "--threshold", "1e-6")
    try:
        station.next("status")
        station.feed(song[: 6 * 32000])
        detection = station.next("detection")
        assert (detection["label"], detection["common_name"]) == ("eurrob1", "Rotkehlchen")
        assert detection["filter"] == f"1 of 3 species, by {listed}"
        listed.write_text("Parus major\nTurdus merula\n")
        station.process.send_signal(signal.SIGHUP)
        station.wait_log("configuration reloaded")
        station.feed(song[6 * 32000 : 12 * 32000])
        station.process.send_signal(signal.SIGTERM)
        later = station.next("detection", start_s=5.0)
        assert later["label"] in {"gretit1", "eurbla"}
        assert later["filter"] == f"2 of 3 species, by {listed}"
        scores = station.next("recording")["scores"]
        assert set(scores) == {"gretit1", "eurbla"}
    finally:
        station.close()


def test_several_sources_in_one_process(tmp_path, tiny_model, song):
    """A pipe and a folder, in one configuration; a reload adds another folder; SIGTERM ends all of them."""
    cards, more = tmp_path / "cards", tmp_path / "more"
    cards.mkdir()
    more.mkdir()
    table = f'threshold = 0.01\n[source.shed]\nsource = "-"\nraw_rate = 32000\n[source.cards]\nfolder = "{cards}"\n'
    station = Running(tmp_path, tiny_model, tables=table)
    try:
        assert station.next("status", station="shed")
        assert station.next("status", station="cards", state="listening")
        station.feed(song[: 6 * 32000])
        assert station.next("detection", station="shed")["source"] == "-"
        soundfile.write(cards / "SM4_20240513_043000.wav", song, 32000)
        recording = station.next("recording", station="cards")
        assert (recording["recording"], recording["start"]) == ("SM4_20240513_043000.wav", "2024-05-13T04:30:00.000Z")
        station.config.write_text(f'{table}[source.more]\nfolder = "{more}"\n')
        station.process.send_signal(signal.SIGHUP)
        assert station.next("status", station="more", state="listening")
        station.process.send_signal(signal.SIGTERM)
        assert station.next("status", station="more", state="stopping")
        assert station.process.wait(15) == 0, station.log.read_text()
    finally:
        station.close()


def test_a_password_on_the_command_line_is_refused():
    text = refused("--url", "rtsp://me:s3cret@host/x")
    assert "BIRDWATCH_URL" in text
    assert "s3cret" not in text


@pytest.mark.parametrize("option", ["--device", "--url", "--folder", "--source"])
def test_a_source_that_would_replace_another_is_refused(option):
    done = CliRunner().invoke(listen, [option, "a", option, "b"])
    assert done.exit_code == 2
    assert (
        f"{option} was given 2 times, expected once; for several sources of a kind write [source.NAME]" in done.stderr
    )
