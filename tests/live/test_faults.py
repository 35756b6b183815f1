"""The faults that a listening station must survive, one test per row, with fakes at the edges."""

from __future__ import annotations

import errno
from types import SimpleNamespace

import numpy as np
import pytest
from fakes import FakeClock, FakeScorer, FakeSource
from stations import RATE_HZ, FakeStation
from tiny_model import manifest

from birdwatch.errors import DeviceError
from birdwatch.live import bounded_folder
from birdwatch.live import clips as clips_module
from birdwatch.live.clips import Clips


def loud(numbers):
    return 0.8 * np.sin(numbers * 0.3)


def test_microphone_absent_at_start():
    station = FakeStation()
    station.source.absent = True
    station.run(5)
    assert station.daemon.state == "waiting-device"
    assert station.statuses[-1]["state"] == "waiting-device"
    assert "no input device is called" in station.statuses[-1]["reason"]
    assert station.systemd.told[-1][0] == "ready"
    assert station.systemd.told[-1][1].startswith("waiting-device: no input device")
    station.run(300)
    attempts = station.source.opens
    assert 60 < attempts < 100  # backed off to one in four seconds
    station.source.absent = False
    station.run(10)
    assert station.daemon.state == "listening"
    station.run(20)
    assert station.listener.windows > 0
    assert [reason for reason, _ in station.gaps] == ["device-lost"]
    station.accounted()


def test_unplugged_and_plugged_in_again():
    station = FakeStation()
    station.source.make = loud
    station.run(60)
    station.source.gone = station.source.absent = True
    station.run(33)
    assert station.daemon.state == "waiting-device"
    # What was detected is published before the device returns.
    assert len(station.outlet.of("event")) == 1
    station.source.absent = False
    station.source.rate_hz = 48000
    station.run(10)
    assert station.daemon.state == "listening"
    ((reason, seconds),) = station.gaps
    assert reason == "device-lost"
    assert 33 <= seconds < 43
    station.run(20)
    station.accounted()


def test_callbacks_that_stop_while_the_stream_says_active():
    station = FakeStation().run(30)
    opens = station.source.opens
    station.source.stuck = True
    station.run(3)
    assert station.source.opens == opens + 1
    station.run(10)
    ((reason, seconds),) = station.gaps
    assert reason == "stall"
    assert 2 < seconds <= 3.1
    assert "listening" in [status["state"] for status in station.statuses[-2:]]
    station.accounted()


def test_a_reopen_that_hangs_ends_the_process_for_systemd_to_start_a_new_one():
    station = FakeStation().run(30)
    station.source.stuck = station.source.open_hangs = True
    fed = station.systemd.fed
    with pytest.raises(DeviceError, match="has not answered for 10 s"):
        station.run(60)
    assert station.systemd.fed <= fed + 1
    # It does not go without a word.
    station.daemon.finish()
    assert station.statuses[-1]["state"] == "stopping"


@pytest.mark.parametrize(("rate_hz", "channels"), [(8000, 1), (44100, 2), (192000, 8)])
def test_a_device_of_any_rate_and_channels_is_opened_natively_and_resampled(rate_hz, channels):
    clock = FakeClock()
    station = FakeStation(source=FakeSource(clock, rate_hz=rate_hz, channels=channels)).run(30)
    assert station.listener.windows == 10
    assert station.gaps == []
    station.accounted()


def test_overflow_and_a_full_queue_are_gaps():
    station = FakeStation().run(30)
    station.source.overflow = True
    station.source.lose(0.3)
    station.run(20)
    station.source.lost_frames = 16000
    station.source.lose(0.5)
    station.run(20)
    assert [reason for reason, _ in station.gaps] == ["overflow", "queue-full"]
    assert [seconds for _, seconds in station.gaps] == pytest.approx([0.3, 0.5], abs=1e-4)
    station.accounted()


@pytest.mark.parametrize(
    ("make", "flag", "state", "scored"),
    [
        (lambda n: 0.0 * n, "digital-zero", "degraded", False),
        (lambda n: 0.0 * n + 0.3, "stuck", "degraded", False),
        (lambda n: 0.4 + 0.01 * np.sin(n * 0.3), "dc", "listening", True),
        (lambda n: np.clip(3 * np.sin(n * 0.3), -1, 1), "clipping", "listening", True),
    ],
)
def test_an_input_that_is_dead_or_bad_is_flagged_and_silence_not_scored(make, flag, state, scored):
    station = FakeStation()
    station.source.make = make
    station.run(30)
    assert station.statuses[-1]["flags"] == [flag]
    assert station.daemon.state == state
    assert (station.scorer.calls > 0) == scored
    assert (station.listener.accounting.skipped_silent == 0) == scored
    station.accounted()


@pytest.mark.slow
def test_inference_slower_than_real_time(caplog):
    station = FakeStation(max_pending=4)
    station.scorer.batch_size = 1
    # Seven seconds for each window of every two and a half; the device continues meanwhile.
    station.scorer.before_call = lambda windows: station.clock.advance(7 * windows)
    station.run(600)
    accounting = station.listener.accounting
    assert station.daemon.state == "degraded"
    assert "slower than real time" in station.statuses[-1]["reason"]
    assert station.listener.waiting <= 4
    assert accounting.dropped > 0.2 * accounting.captured
    assert accounting.gap == 0
    warnings = [record for record in caplog.records if "slower than real time" in record.message]
    assert 8 <= len(warnings) <= 11  # one a minute
    station.daemon.finish()
    assert station.listener.accounting.pending == 0
    assert accounting.captured == accounting.analysed + accounting.dropped


def test_inference_that_is_quick_again_is_forgiven_after_a_minute():
    station = FakeStation(max_pending=2)
    station.scorer.batch_size = 1
    station.scorer.before_call = lambda windows: station.clock.advance(7)
    station.run(60)
    station.scorer.before_call = lambda windows: None
    station.run(30)
    assert station.daemon.state == "degraded"
    station.run(60)
    assert station.daemon.state == "listening"
    station.accounted()


@pytest.mark.slow
def test_a_device_whose_clock_is_slow_is_drift_and_no_gap():
    station = FakeStation().run(1)
    source = station.source
    read = source.read

    def slow(timeout_s):
        chunks = read(timeout_s)
        source.due_ns += 20_000  # 200 ppm of a block of 0.1 s
        return chunks

    source.read = slow
    station.run(600)
    assert station.gaps == []
    seconds = station.statuses[-1]["seconds"]
    assert seconds["drift"] == pytest.approx(0.12, abs=0.005)
    station.accounted()


def test_nan_from_the_input():
    station = FakeStation()
    station.source.make = lambda n: np.where((n // RATE_HZ) % 20 == 13, np.inf, 0.1 * np.sin(n * 0.3))
    station.run(60)
    assert station.listener.invalid_frames == 3 * RATE_HZ
    assert station.listener.accounting.dropped >= 3 * RATE_HZ
    assert "NaN or infinity" in station.statuses[-1]["reason"]
    assert station.gaps == []  # it was captured, and is counted as dropped
    station.accounted()


def test_nan_from_the_model():
    station = FakeStation().run(20)
    station.scorer.fault = "tiny.onnx answered with NaN or infinity on CPUExecutionProvider"
    station.run(20)
    assert station.daemon.state == "degraded"
    assert "answered with NaN" in station.statuses[-1]["reason"]
    assert station.listener.dropped_windows == 8
    station.scorer.fault = None
    station.run(90)
    assert station.daemon.state == "listening"
    assert all(np.isfinite(list(r["scores"].values())).all() for r in station.outlet.of("recording"))
    station.accounted()


def test_a_gpu_that_failed_while_running_is_in_the_status():
    station = FakeStation().run(20)
    station.scorer.setback = "CUDA ran out of memory; running on the CPU"
    station.run(10)
    assert station.statuses[-1]["state"] == "degraded"
    assert station.statuses[-1]["reason"] == "CUDA ran out of memory; running on the CPU"


@pytest.mark.parametrize("step_s", [3600, -3600])
def test_the_clock_is_stepped_an_hour(step_s):
    station = FakeStation()
    station.source.make = lambda n: np.where((n // RATE_HZ) % 20 < 6, 0.8, 0.05) * np.sin(n * 0.3)
    station.run(100)
    station.clock.step(step_s)
    station.run(200)
    station.daemon.finish()
    assert station.gaps == [("clock-step", step_s)]
    starts = [event["start"] for event in station.outlet.of("event")]
    assert len(starts) > 10
    assert starts == sorted(starts)
    assert all(event["start"] < event["end"] for event in station.outlet.of("event"))
    # No second of audio was lost by it, and none is counted as lost.
    assert station.listener.accounting.gap == 0
    accounting = station.listener.accounting
    assert accounting.captured == accounting.analysed + accounting.skipped_silent + accounting.dropped


def test_the_machine_is_suspended():
    station = FakeStation()
    station.source.make = loud
    station.run(60)
    station.clock.suspend(8 * 3600)
    station.run(60)
    ((reason, seconds),) = station.gaps
    assert reason == "suspended"
    assert seconds == pytest.approx(8 * 3600, abs=0.2)
    station.daemon.finish()
    events = station.outlet.of("event")
    assert len(events) == 2
    assert events[1]["start_s"] - events[0]["end_s"] == pytest.approx(8 * 3600, abs=0.2)
    station.accounted()


def test_a_full_disk_costs_clips_and_nothing_else(tmp_path, monkeypatch):
    clips = Clips(tmp_path / "clips", max_bytes=10**9, min_free_bytes=0)
    station = FakeStation(clips=clips)
    station.source.make = lambda n: np.where((n // RATE_HZ) % 20 < 6, 0.8, 0.05) * np.sin(n * 0.3)

    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    station.run(35)
    monkeypatch.setattr(clips_module.soundfile, "write", full)
    station.run(60)
    monkeypatch.undo()
    saved = [event["clip"] is not None for event in station.outlet.of("event")]
    assert saved[0]
    assert not any(saved[2:])
    assert len(saved) >= 4
    assert station.daemon.state == "degraded"
    assert "No space left" in station.statuses[-1]["reason"]
    assert station.listener.accounting.dropped == 0
    monkeypatch.setattr(bounded_folder.shutil, "disk_usage", lambda _: SimpleNamespace(free=10**12))
    station.run(100)
    assert station.outlet.of("event")[-1]["clip"] is not None
    assert station.daemon.state == "listening"
    station.accounted()


def test_sigterm_flushes_within_five_seconds_even_when_the_network_is_slow():
    station = FakeStation(scorer=FakeScorer(manifest()), max_pending=24)
    station.source.make = loud
    station.run(20)
    station.scorer.batch_size = 1
    station.scorer.before_call = lambda windows: station.clock.advance(1.0)
    # A minute of windows waits.
    station.clock.advance(60)
    for chunk in station.source.read(0.1):
        station.listener.push(chunk)
    began = station.clock.now().steady_ns
    station.daemon.finish()
    assert (station.clock.now().steady_ns - began) / 1e9 < 5
    assert len(station.outlet.of("event")) == 1
    assert station.statuses[-1]["seconds"]["pending"] == 0
    assert station.statuses[-1]["seconds"]["dropped"] > 40
