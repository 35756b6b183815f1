"""The recording: segments at full minutes, readable after a crash, bounded, and worth another run."""

from __future__ import annotations

import csv
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from fakes import UTC0_NS, FakeClock, FakeOutlet, FakePipe, S

from birdwatch.audio.file import AudioFile
from birdwatch.audio.types import AudioBlock
from birdwatch.cli.run import run
from birdwatch.live.audio_outputs import AudioOutputs
from birdwatch.live.bounded_folder import BoundedFolder
from birdwatch.live.daemon import Daemon
from birdwatch.live.listener import Listener
from birdwatch.live.message_builder import Reporter
from birdwatch.live.recorder import SUFFIXES, Recorder, RecordingThread
from birdwatch.live.scheduler import Scheduler
from birdwatch.live.station import Station
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.scores.events import EventRule
from birdwatch.scores.policy import ScoringPolicy

RATE_HZ = 8000


# 04:00:47.250 UTC.
START_NS = UTC0_NS + 47_250_000_000


def order(event: tuple[str, float, float]) -> tuple[int, str]:
    return round(event[1]), event[0]


@pytest.fixture
def thread():
    value = RecordingThread()
    yield value
    value.close()


def recorder(folder: Path, thread: RecordingThread, *, form: str = "flac", **bounds) -> Recorder:
    bounds = {"max_bytes": 10**9, "min_free_bytes": 0, **bounds}
    return Recorder(BoundedFolder(folder, suffixes=SUFFIXES, **bounds), "pond", thread, form=form)


def now() -> Any:
    """A thread that writes at once."""
    return type("Now", (), {"put": lambda _, recorder, block, ns: recorder.write(block, ns) or True})()


def numbers(start: int, frames: int) -> np.ndarray:
    return (np.arange(start, start + frames) % 30000 / 32768).astype(np.float32)


def record(one: Recorder, frames: int, *, start: int = 0, block: int = 400, utc_ns: int = START_NS) -> None:
    for begin in range(start, start + frames, block):
        count = min(block, start + frames - begin)
        one.push(AudioBlock(numbers(begin, count), begin, RATE_HZ), utc_ns + (begin - start) * S // RATE_HZ)


def segments(folder: Path) -> list[tuple[str, int, float]]:
    out = []
    for path in sorted(folder.iterdir()):
        audio = AudioFile(path)
        start_ns = audio.start_utc_ns()
        assert start_ns is not None
        frames = sum(len(block.samples) for block in audio.blocks())
        out.append((path.name, frames, (start_ns - UTC0_NS) / S))
    return out


def test_segments_end_at_full_minutes_and_hold_every_sample(tmp_path, thread):
    one = recorder(tmp_path, thread)
    record(one, 150 * RATE_HZ)
    one.end()
    thread.close()
    assert segments(tmp_path) == [
        ("pond_20250501_040047.flac", 12.75 * RATE_HZ, 47.25),
        ("pond_20250501_040100.flac", 60 * RATE_HZ, 60.0),
        ("pond_20250501_040200.flac", 60 * RATE_HZ, 120.0),
        ("pond_20250501_040300.flac", 17.25 * RATE_HZ, 180.0),
    ]
    samples = np.concatenate(
        [block.samples for path in sorted(tmp_path.iterdir()) for block in AudioFile(path).blocks()]
    )
    np.testing.assert_array_equal(samples, numbers(0, 150 * RATE_HZ))
    assert (one.fault, one.lost_s) == (None, 0.0)


def test_missing_frames_and_another_rate_begin_a_new_segment(tmp_path, thread):
    one = recorder(tmp_path, thread)
    record(one, 2 * RATE_HZ)
    record(one, RATE_HZ, start=5 * RATE_HZ, utc_ns=START_NS + 5 * S)
    one.push(AudioBlock(numbers(0, 16000), 12 * RATE_HZ, 16000), START_NS + 6 * S)
    one.end()
    thread.close()
    assert [(frames, start) for _, frames, start in segments(tmp_path)] == [
        (2 * RATE_HZ, 47.25),
        (RATE_HZ, 52.25),
        (16000, 53.25),
    ]


@pytest.mark.parametrize(("form", "missing_s"), [("flac", 1.6), ("opus", 2.5)])
def test_a_segment_that_was_never_closed_is_read_to_its_last_seconds(tmp_path, thread, form, missing_s):
    one = recorder(tmp_path / "live", thread, form=form)
    one._thread = now()
    record(one, 10 * RATE_HZ)
    shutil.copytree(tmp_path / "live", tmp_path / "after-the-power-cut")
    one.end()
    ((_, frames, start_s),) = segments(tmp_path / "after-the-power-cut")
    rate_hz = 48000 if form == "opus" else RATE_HZ
    assert frames / rate_hz >= 10 - missing_s
    assert start_s == 47.25


def test_the_folder_is_bounded_in_size_and_age(tmp_path, thread):
    (tmp_path / "notes.txt").write_text("not ours")
    one = recorder(tmp_path, thread, max_bytes=400_000)
    one._thread = now()
    rng = np.random.default_rng(0)
    for second in range(600):
        samples = rng.normal(0, 0.1, RATE_HZ).astype(np.float32)
        one.push(AudioBlock(samples, second * RATE_HZ, RATE_HZ), UTC0_NS + second * S)
    one.end()
    kept = sorted(path.name for path in tmp_path.glob("*.flac"))
    assert kept[-1] == "pond_20250501_040900.flac"
    assert len(kept) < 6
    assert (tmp_path / "notes.txt").exists()
    bounded = BoundedFolder(tmp_path, max_bytes=10**9, max_age_s=86400, suffixes=SUFFIXES, min_free_bytes=0)
    newest = max(path.stat().st_mtime for path in tmp_path.glob("*.flac"))
    bounded.make_room(newest + 2 * 86400)
    assert len(list(tmp_path.glob("*.flac"))) == 1


def test_a_disk_that_refuses_is_a_fault_and_recording_resumes_when_it_can(tmp_path, thread):
    blocked = tmp_path / "file"
    blocked.write_text("")
    one = recorder(blocked / "rec", thread)
    one._thread = now()
    record(one, RATE_HZ)
    assert "cannot be recorded" in (one.fault or "")
    assert one.lost_s == pytest.approx(1.0)
    blocked.unlink()
    record(one, RATE_HZ, start=RATE_HZ, utc_ns=START_NS + S)
    one.end()
    assert one.fault is None
    assert len(segments(blocked / "rec")) == 1


def test_a_disk_that_hangs_costs_the_recording_and_not_listening(tmp_path, thread):
    one = recorder(tmp_path, thread)
    one._thread = type("Full", (), {"put": lambda *_: False})()
    record(one, 2 * RATE_HZ)
    assert one.lost_s == pytest.approx(2.0)
    assert "too slow" in (one.fault or "")


@pytest.mark.slow
def test_a_run_over_the_recording_gives_the_events_that_were_published(tmp_path, thread, tiny_model):
    classifier = OnnxClassifier(tiny_model, provider="cpu", workers=1)
    threshold = 0.5
    clock = FakeClock()
    source = FakePipe(clock)
    rng = np.random.default_rng(7)

    def garden(n):
        # Tones that come and go, so that scores cross the threshold now and then.
        second = n / 32000
        tone = np.sin(2 * np.pi * (1500 + 4000 * ((second // 13) % 2)) * second)
        return np.where((second % 20) < 9, 0.5, 0.0) * tone + rng.normal(0, 0.02, len(n))

    source.make = garden
    policy = ScoringPolicy((EventRule(threshold, threshold),) * 3)
    outlet = FakeOutlet()
    one = Recorder(
        BoundedFolder(tmp_path / "rec", max_bytes=10**9, suffixes=SUFFIXES, min_free_bytes=0), "pond", thread
    )
    outputs = AudioOutputs(None, one, wanted=lambda: False, publish=lambda _: None)
    listener = Listener(classifier, policy, clock.now(), hop_s=2.5, recording_s=60.0, on_block=outputs.push)
    outputs.follow(listener.numbering)
    reporter = Reporter(
        listener, outlet.publish, clock, station="pond", boot_id="b", live=True, minutes=True, outputs=outputs
    )
    station = Station("pond", source, listener, reporter, outlet, clock)
    systemd = type("Systemd", (), {name: lambda *_: None for name in ("ready", "status", "progress", "stopping")})()
    daemon = Daemon(lambda: [station], Scheduler(classifier, clock), systemd, clock, poll=lambda: None)
    while clock.now().utc_ns < UTC0_NS + 185 * S:
        daemon.turn()
    daemon.finish()
    thread.close()

    def seconds(text: str) -> float:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() - UTC0_NS / S

    def span(row):
        start = seconds(row["start"])
        return start, start + float(row["end_s"]) - float(row["start_s"])

    live = [(event["label"], seconds(event["start"]), seconds(event["end"])) for event in outlet.of("event")]
    table = tmp_path / "again.csv"
    arguments = [str(tmp_path / "rec"), "--join", "--out", str(table), "--rows", "events", "--format", "detections"]
    policy_options = ["--threshold", str(threshold), "--event-bridge", "0", "--model", str(tiny_model)]
    result = CliRunner().invoke(run, [*arguments, *policy_options])
    assert result.exit_code == 0, result.output
    with table.open() as stream:
        rows = list(csv.DictReader(stream))
    again = [(row["label"], *span(row)) for row in rows]
    assert len(list((tmp_path / "rec").iterdir())) >= 3
    assert len(live) >= 4
    # Times in messages are cut off to milliseconds twice: a stream's start, and the segment's.
    assert [label for label, _, _ in sorted(live, key=order)] == [label for label, _, _ in sorted(again, key=order)]
    for one, other in zip(sorted(live, key=order), sorted(again, key=order), strict=True):
        assert one[1:] == pytest.approx(other[1:], abs=0.002)


def test_a_clock_that_is_set_begins_a_new_segment(tmp_path, thread):
    one = recorder(tmp_path, thread)
    record(one, 2 * RATE_HZ, utc_ns=100 * S)
    record(one, 2 * RATE_HZ, start=2 * RATE_HZ)
    one.end()
    thread.close()
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "pond_19700101_000140.flac",
        "pond_20250501_040047.flac",
    ]


def test_a_segment_that_was_removed_ends_neither_the_thread_nor_the_recording(tmp_path, thread):
    one = recorder(tmp_path / "rec", thread)
    one._thread = now()
    record(one, RATE_HZ)
    shutil.rmtree(tmp_path / "rec")
    # A gap ends the segment, whose file is gone.
    record(one, RATE_HZ, start=3 * RATE_HZ, utc_ns=START_NS + 3 * S)
    shutil.rmtree(tmp_path / "rec")
    one.end()
    assert "cannot be recorded" in (one.fault or "")
    record(one, RATE_HZ, start=5 * RATE_HZ, utc_ns=START_NS + 5 * S)
    one.end()
    assert one.fault is None
    assert [frames for _, frames, _ in segments(tmp_path / "rec")] == [RATE_HZ]


def test_a_station_whose_recording_fails_stops_no_other_s(tmp_path, thread, monkeypatch):
    broken, well = recorder(tmp_path / "a", thread), recorder(tmp_path / "b", thread)
    monkeypatch.setattr(broken, "write", lambda *_: [].pop())
    record(broken, RATE_HZ)
    record(well, RATE_HZ)
    well.end()
    thread.close()
    assert "recording has failed: IndexError" in (broken.fault or "")
    assert [frames for _, frames, _ in segments(tmp_path / "b")] == [RATE_HZ]
