"""The live loop: what it tells whom, and when."""

from __future__ import annotations

import sys

import numpy as np
from fakes import FakeClock, FakeSource
from stations import RATE_HZ, FakeStation

from birdwatch.errors import ConfigError
from birdwatch.live.daemon import Daemon


def test_it_is_ready_when_it_listens_and_tells_its_state_every_five_seconds():
    station = FakeStation().run(60)
    assert station.systemd.told[:3] == [
        ("status", "starting: ALSA/Garden microphone"),
        ("status", "listening: ALSA/Garden microphone"),
        ("ready", "listening: ALSA/Garden microphone"),
    ]
    states = [status["state"] for status in station.statuses]
    assert states[0] == "starting"
    assert set(states[1:]) == {"listening"}
    assert 12 <= len(states) <= 14
    last = station.statuses[-1]
    assert last["model"] == "tiny"
    assert last["provider"] == "CPUExecutionProvider"
    assert last["seconds"]["captured"] > 54
    assert last["rss_mb"] > 1
    station.accounted()


def test_detection_event_and_recording_messages_carry_times_of_the_stream():
    station = FakeStation()
    station.source.make = lambda n: np.where((n >= 20 * RATE_HZ) & (n < 30 * RATE_HZ), 0.8, 0.05) * np.sin(n * 0.3)
    station.run(70)
    detections, (event,), (recording,) = (station.outlet.of(k) for k in ("detection", "event", "recording"))
    assert len(detections) == 5
    assert detections[0]["start"] == "2025-05-01T04:00:17.500Z"
    assert detections[0]["start_s"] == 17.5
    assert detections[0]["start_frame"] == 17.5 * RATE_HZ
    assert (event["start"], event["end"]) == ("2025-05-01T04:00:17.500Z", "2025-05-01T04:00:32.500Z")
    assert event["windows"] == 5
    assert {d["event_id"] for d in detections} == {event["event_id"]} == {"b00t-1"}
    assert recording["recording"] == "garden_20250501T040000Z"
    assert recording["windows"] == 24
    assert recording["present"] == ["gretit1"]


def test_latency_runs_from_the_end_of_the_window_to_its_messages():
    station = FakeStation()
    station.scorer.before_call = lambda windows: station.clock.advance(0.04)
    station.run(200)
    status = station.statuses[-1]
    # Windows end with a block here, so all of it is the network's.
    assert status["latency_ms"]["p50"] == 40.0
    assert status["latency_ms"]["p95"] <= 80.0


def test_the_watchdog_is_fed_by_audio_and_by_retries_and_by_nothing_else():
    station = FakeStation().run(30)
    fed = station.systemd.fed
    assert fed > 100
    station.scorer.fault = "CUDA died"
    station.run(10)
    failing = station.systemd.fed
    station.run(60)
    # A network that only fails is no progress, however much audio comes.
    assert station.systemd.fed == failing
    station.scorer.fault = None
    station.run(10)
    assert station.systemd.fed > failing


def test_waiting_for_a_device_feeds_the_watchdog_with_each_attempt():
    station = FakeStation()
    station.source.absent = True
    station.run(60)
    assert station.systemd.fed == station.source.opens
    assert station.source.opens > 10


def test_the_end_flushes_what_is_open():
    station = FakeStation()
    station.source.make = lambda n: 0.8 * np.sin(n * 0.3)
    station.run(21)
    assert station.outlet.of("event") == []
    station.daemon.stop()
    assert not station.daemon.turn()
    station.daemon.finish()
    (event,) = station.outlet.of("event")
    assert event["end_s"] == 21.1
    assert len(station.outlet.of("recording")) == 1
    assert station.statuses[-1]["state"] == "stopping"
    assert station.statuses[-1]["seconds"]["pending"] == 0
    assert ("stopping", "stopping") in station.systemd.told
    assert station.source.closed


def test_a_reload_is_reported_to_systemd_whether_it_worked_or_not(caplog):
    answers = iter([ConfigError("hop is 9, expected less"), "thresholds are in force"])

    def reload():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    station = FakeStation(reload=reload).run(1)
    station.daemon.reload()
    station.run(1)
    assert "the old one stays in force: hop is 9, expected less" in caplog.text
    station.daemon.reload()
    station.run(1)
    assert "configuration reloaded: thresholds are in force" in caplog.text
    assert [kind for kind, _ in station.systemd.told].count("reloading") == 2
    assert [kind for kind, _ in station.systemd.told].count("ready") == 3


def test_a_device_that_opens_and_ends_at_once_is_not_tried_without_pause():
    station = FakeStation()
    source = station.source
    original = source.ready

    def ready():
        answer = original()
        source.gone = True
        return answer

    source.ready = ready
    station.run(60)
    assert 10 < source.opens < 30


def test_a_stop_is_obeyed_wherever_in_a_turn_its_signal_comes():
    """A signal's handler runs between any two instructions: here between each two of a turn that reloads."""
    place, there = 0, True
    while there:
        place, there = place + 1, False
        station = FakeStation(reload=lambda: "thresholds").run(1)
        station.daemon.reload()
        there = _interrupted_turn(station.daemon, place)
        # The turn in which it came, or the next one, is the last.
        assert not there or not station.daemon.turn(), f"forgotten at instruction {place}"
    assert place > 50


def _interrupted_turn(daemon, place):
    """A turn with a stop before its instruction number `place`; whether it has that many."""
    passed = 0

    def instruction(frame, event, _argument):
        nonlocal passed
        frame.f_trace_opcodes = True
        if event == "opcode":
            passed += 1
            if passed == place:
                daemon.stop()
        return instruction

    sys.settrace(lambda frame, *_: instruction if frame.f_code is Daemon.turn.__code__ else None)
    try:
        daemon.turn()
    finally:
        sys.settrace(None)
    return passed >= place


class PacedSource(FakeSource):
    """Delivers as a stream does, and keeps what it was told of windows."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock, rate_hz=48000)
        self.expected: list[tuple[float, float]] = []

    def expect_window(self, in_s: float, every_s: float) -> None:
        self.expected.append((self.frame / self.rate_hz + in_s, every_s))


def test_a_source_that_reads_ahead_is_told_when_windows_are_complete():
    station = FakeStation(source=PacedSource(FakeClock()))
    station.run(30)
    expected = station.source.expected
    assert len(expected) > 250
    assert {every_s for _, every_s in expected} == {2.5}
    # From the second chunk on it is one of the moments 5, 7.5, 10 s, and what the resampler may hold back.
    assert all(0 <= (at_s + 0.001) % 2.5 < 0.045 for at_s, _ in expected[1:])
