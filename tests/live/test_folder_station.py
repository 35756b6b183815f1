"""A folder that recorders upload into: each recording is scored once, at its own time, also after a restart."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fakes import FakeClock, FakeOutlet, FakeScorer, FakeSystemd
from tiny_model import manifest

from birdwatch.errors import SourceError
from birdwatch.live.daemon import Daemon
from birdwatch.live.folder import RESCAN_S, SETTLE_S, WatchedFolder
from birdwatch.live.folder_station import FolderStation
from birdwatch.live.listener import Listener
from birdwatch.live.message_builder import Reporter
from birdwatch.live.scheduler import Scheduler
from birdwatch.scores.events import EventRule
from birdwatch.scores.policy import ScoringPolicy


def write(path: Path, seconds: float = 12.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    n = np.arange(round(seconds * 8000))
    loud = (n > 4 * 8000) & (n < 6 * 8000)
    soundfile.write(path, np.where(loud, 0.8, 0.05) * np.sin(n * 0.3), 8000)


class Station:
    def __init__(self, folder: Path, record: Path | None) -> None:
        self.clock = FakeClock()
        self.outlet = FakeOutlet()
        scorer = FakeScorer(manifest())
        policy = ScoringPolicy((EventRule(0.5, 0.3),) * 3)

        def make(recording, start, number):
            listener = Listener(scorer, policy, start, hop_s=2.5, recording=recording)
            reporter = Reporter(
                listener,
                self.outlet.publish,
                self.clock,
                station="card",
                boot_id=f"b-{number}",
                live=False,
                minutes=False,
            )
            return listener, reporter

        self.folder = WatchedFolder(folder, self.clock, record=record)
        self.station = FolderStation("card", self.folder, make, self.outlet, self.clock)
        self.systemd = FakeSystemd()
        self.daemon = Daemon(
            lambda: [self.station],
            Scheduler(scorer, self.clock),
            self.systemd,
            self.clock,
            poll=lambda: None,
            pause=self.clock.advance,
        )

    def run(self, turns: int = 600) -> list[str]:
        for _ in range(turns):
            assert self.daemon.turn()
        return [message["recording"] for message in self.outlet.of("recording")]


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def test_recordings_are_scored_once_each_with_their_own_times(inbox: Path, tmp_path: Path) -> None:
    write(inbox / "SM4_20240513_043000.wav")
    write(inbox / "june" / "SM4_20240601_120000.wav")
    station = Station(inbox, tmp_path / "state" / "done.jsonl")
    assert station.run() == ["SM4_20240513_043000.wav", "june/SM4_20240601_120000.wav"]
    first, second = station.outlet.of("event")
    assert first["start"] == "2024-05-13T04:30:00.000Z"
    assert second["start"] == "2024-06-01T12:00:00.000Z"
    assert first["event_id"] != second["event_id"]
    seconds = station.outlet.of("status")[-1]["seconds"]
    assert (seconds["captured"], seconds["analysed"], seconds["pending"]) == (24.0, 24.0, 0.0)
    # It has nothing to do, and is well: systemd sees that.
    fed = station.systemd.fed
    station.run(10)
    assert station.systemd.fed == fed + 10
    write(inbox / "SM4_20240602_120000.wav")
    assert len(station.run()) == 3
    station.daemon.finish()

    again = Station(inbox, tmp_path / "state" / "done.jsonl")
    assert again.run() == []
    write(inbox / "SM4_20240513_043000.wav", seconds=20.0)
    assert again.run() == ["SM4_20240513_043000.wav"]
    again.daemon.finish()


def test_what_cannot_be_read_is_named_once_and_costs_no_other(inbox: Path, tmp_path: Path, caplog) -> None:
    (inbox / "a_broken.wav").write_bytes(b"RIFF....WAVEjunk")
    (inbox / "notes.txt").write_text("no recording")
    (inbox / ".syncthing.b_20240601_120000.wav.tmp").write_text("under way")
    write(inbox / ".b_20240601_120000.wav")
    write(inbox / "c_20240601_120000.wav")
    station = Station(inbox, tmp_path / "done.jsonl")
    assert station.run(2000) == ["c_20240601_120000.wav"]
    station.daemon.finish()
    again = Station(inbox, tmp_path / "done.jsonl")
    again.run()
    again.daemon.finish()
    assert len([record for record in caplog.records if "a_broken.wav" in record.message]) == 1
    degraded = [status for status in station.outlet.of("status") if status["state"] == "degraded"]
    assert "a_broken.wav" in degraded[0]["reason"]


def test_a_recording_that_still_grows_is_not_complete(inbox: Path) -> None:
    path = inbox / "x_20240601_120000.wav"
    write(path, 3.0)
    station = Station(inbox, None)
    for _ in range(12):
        station.clock.advance(SETTLE_S * 0.8)
        station.folder._changed.set()
        assert station.folder.next() is None
        with path.open("ab") as stream:
            stream.write(b"\0\0")
    station.clock.advance(RESCAN_S)
    station.folder.next()
    station.clock.advance(SETTLE_S)
    assert station.folder.next() == path
    station.daemon.finish()


def test_a_record_with_damaged_lines_forgets_only_those_recordings(inbox: Path, tmp_path: Path) -> None:
    record = tmp_path / "done.jsonl"
    for number in (1, 2):
        write(inbox / f"r{number}_20240601_12000{number}.wav")
    station = Station(inbox, record)
    station.run()
    station.daemon.finish()
    damaged = b"\n".join([b"[" * 10**5, b'{"recording": "r", "size": 1e999, "mtime_ns": 0}', b"\xff\x00", b"7", b""])
    record.write_bytes(damaged + record.read_bytes()[:-20])
    again = Station(inbox, record)
    assert again.run() == ["r2_20240601_120002.wav"]
    again.daemon.finish()


def test_a_recording_without_a_time_of_its_own_ended_when_its_file_was_written(inbox: Path) -> None:
    write(inbox / "song.wav")
    os.utime(inbox / "song.wav", (1_700_000_012, 1_700_000_012))
    station = Station(inbox, None)
    station.run()
    (recording,) = station.outlet.of("recording")
    assert recording["start"] == "2023-11-14T22:13:20.000Z"
    station.daemon.finish()


def test_a_record_that_cannot_be_written_is_in_the_status(inbox: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    write(inbox / "a_20240601_120000.wav")
    station = Station(inbox, tmp_path / "file" / "done.jsonl")
    station.run()
    assert station.station.state == "degraded"
    assert "scored again after a restart" in (station.station.reason or "")
    station.daemon.finish()


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is not a folder"):
        WatchedFolder(tmp_path / "none", FakeClock(), record=None)
