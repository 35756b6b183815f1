"""Clocks that are set late, and audio that arrives late: what is late is not lost, and a bird keeps its true second."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
from fakes import UTC0_NS, FakeClock, FakePipe, S
from stations import RATE_HZ, FakeStation

from birdwatch.config.schema import Settings
from birdwatch.errors import ConfigError
from birdwatch.live.pauses import pauses


def songs(*spans):
    """A song in each span of seconds, noise elsewhere."""

    def make(n):
        loud = np.zeros(len(n), bool)
        for start, end in spans:
            loud |= (n >= start * RATE_HZ) & (n < end * RATE_HZ)
        return np.where(loud, 0.8, 0.05) * np.sin(n * 0.3)

    return make


def since(message, key="start"):
    """Seconds from the start of the (true) clock."""
    moment = datetime.fromisoformat(message[key].replace("Z", "+00:00"))
    return round(moment.timestamp() - UTC0_NS / S, 3)


def unset_clock():
    clock = FakeClock()
    clock.step(100 - UTC0_NS / S)
    return clock


def test_a_clock_that_is_set_after_the_start_ends_events_and_windows_and_corrects_what_is_not_sent():
    clock = unset_clock()
    station = FakeStation(source=FakePipe(clock))
    station.source.make = songs((1, 4), (10, 30))
    station.run(12)
    assert station.statuses[-1]["flags"] == ["clock-unset"]
    clock.step(UTC0_NS / S - 100)
    station.run(28)
    station.daemon.finish()
    assert station.statuses[-1]["flags"] == []
    assert [reason for reason, _ in station.gaps] == ["clock-step"]
    cut_s = since(station.outlet.of("gap")[0])
    detections, events = station.outlet.of("detection"), station.outlet.of("event")
    for message in (*detections, *events, *station.outlet.of("recording")):
        assert message["start"][:4] == message["end"][:4]
        if "start_s" in message:
            assert not message["start_s"] < cut_s < message["end_s"]
    # The song that the step cuts is two events; both have their true times, as nothing of them was sent before it.
    assert [since(event) - event["start_s"] for event in events[-2:]] == pytest.approx([0, 0], abs=0.001)
    assert [since(event, "end") - event["end_s"] for event in events[-2:]] == pytest.approx([0, 0], abs=0.001)
    assert station.listener.accounting.gap == 0
    station.accounted()


@pytest.mark.parametrize("step_s", [3600, -3600])
def test_no_event_is_longer_than_its_song_when_the_clock_steps_an_hour(step_s):
    station = FakeStation()
    station.source.make = songs((10, 30))
    station.run(20)
    station.clock.step(step_s)
    station.run(30)
    station.daemon.finish()
    for event in station.outlet.of("event"):
        length_s = since(event, "end") - since(event)
        assert 0 < length_s <= event["end_s"] - event["start_s"] + 0.001
    for detection in station.outlet.of("detection"):
        assert since(detection, "end") - since(detection) <= 5.001


def test_a_clock_that_stood_in_another_year_is_right_from_the_step_on():
    clock = FakeClock()
    clock.step(400 * 86400)
    station = FakeStation(source=FakePipe(clock))
    station.source.make = songs((1, 4), (10, 30))
    station.run(12)
    clock.step(-400 * 86400)
    station.run(80)
    station.daemon.finish()
    (cut,) = station.outlet.of("gap")
    assert (cut["reason"], cut["seconds"]) == ("clock-step", -400 * 86400.0)
    for message in (*station.outlet.of("detection"), *station.outlet.of("event"), *station.outlet.of("recording")):
        assert message["start"] < message["end"]
        ahead_s = 400 * 86400 if since(message) > 86400 else 0
        assert 0 <= since(message) - ahead_s < since(message, "end") - ahead_s <= 92
        if "start_s" in message:
            assert since(message) - message["start_s"] == pytest.approx(ahead_s, abs=0.3)
            assert (message["end_s"] > 12.3) == (ahead_s == 0)
    station.accounted()


def test_no_recording_spans_steps_that_come_one_after_the_other():
    station = FakeStation()
    station.source.make = songs((1, 200))
    for step_s in (3600, -3600, -86400, 86400, 400 * 86400, -400 * 86400) * 2:
        station.run(0.3)
        station.clock.step(step_s)
        station.run(0.3)
        station.clock.step(-step_s / 2)
        station.run(7)
    station.daemon.finish()
    messages = [*station.outlet.of("recording"), *station.outlet.of("event"), *station.outlet.of("detection")]
    assert len(messages) > 20
    for message in messages:
        assert 0 < since(message, "end") - since(message) <= 60.001


def test_a_station_can_wait_for_the_clock():
    clock = unset_clock()
    settings = Settings(wait_for_clock=True)
    station = FakeStation(source=FakePipe(clock), pause=pauses(settings, clock, live=True), wait=clock.advance)
    fed = station.systemd.fed
    station.run(60)
    status = station.statuses[-1]
    assert (status["state"], station.source.opens) == ("starting", 0)
    assert "waiting for the clock" in status["reason"]
    assert ("ready", f"starting: {status['reason']}") in station.systemd.told
    assert station.systemd.fed > fed + 50
    clock.step(UTC0_NS / S - 100)
    began = clock.now().utc_ns
    station.source.make = songs((0, 5))
    station.run(20)
    assert station.daemon.state == "listening"
    assert station.gaps == []
    (event,) = station.outlet.of("event")
    assert event["start_s"] == 0
    assert since(event) == pytest.approx((began - UTC0_NS) / S, abs=0.3)


def test_what_is_not_listened_to_on_purpose_is_in_the_accounting():
    clock = FakeClock()  # 04:00 UTC
    pause = pauses(Settings(active="04:01 .. 04:02, 04:10 .. 04:12"), clock, live=True)
    station = FakeStation(source=FakePipe(clock), pause=pause, wait=clock.advance)
    station.run(30)
    assert station.daemon.state == "asleep"
    assert station.source.opens == 0
    station.run(60)
    assert station.daemon.state == "listening"
    station.run(120)
    assert station.daemon.state == "asleep"
    assert station.source.closed
    station.run(600)
    seconds = station.statuses[-1]["seconds"]
    assert seconds["captured"] == pytest.approx(180, abs=6)
    assert [reason for reason, _ in station.gaps] == ["schedule", "schedule"]
    # The night that has just begun is counted while it lasts.
    assert seconds["inactive"] == pytest.approx(60 + 480 + 90, abs=6)
    assert seconds["gap"] == 0


@pytest.mark.parametrize("settings", [{"source": "-"}, {"folder": "in"}])
def test_a_schedule_is_for_what_can_be_opened_again(settings):
    with pytest.raises(ConfigError, match="microphones and streams"):
        pauses(Settings(active="04:00 .. 05:00", **settings), FakeClock(), live=True)


def test_a_pipe_that_catches_up_after_an_outage_has_lost_nothing():
    clock = FakeClock()
    station = FakeStation(source=FakePipe(clock), max_pending=40)
    station.source.make = songs((20, 26), (75, 81), (110, 116))
    station.run(15)
    station.source.stuck = True
    station.run(40)
    assert station.daemon.state == "waiting-device"
    assert "may be late" not in station.statuses[-1]["reason"]
    station.source.stuck = False
    station.run(95)
    station.daemon.finish()
    assert station.gaps == []
    events = station.outlet.of("event")
    assert [since(event) for event in events] == pytest.approx([17.5, 72.5, 107.5], abs=0.01)
    assert station.listener.clock_sync.adjusted_ns == 0
    assert station.listener.accounting.dropped == 0
    station.accounted()


@pytest.mark.slow
def test_a_link_that_catches_up_slowly_has_lost_nothing_either():
    clock = FakeClock()
    source = FakePipe(clock)
    station = FakeStation(source=source)
    source.make = songs((30, 36), (140, 146))
    station.run(20)
    source.stuck = True
    station.run(20)
    source.stuck = False

    def trickle(timeout_s):
        """A tenth faster than real time while there is a backlog."""
        ahead_ns = source.due_ns - clock.now().awake_ns
        clock.advance(ahead_ns / S if ahead_ns > 0 else source.chunk_s / 1.1)
        source.due_ns += round(source.chunk_s * S)
        return [source._chunk(0)]

    source.read = trickle
    station.run(300)
    assert station.gaps == []
    assert [since(event) for event in station.outlet.of("event")] == pytest.approx([27.5, 137.5], abs=0.01)


def test_stopping_and_continuing_the_daemon_is_no_gap_where_the_pipe_catches_up():
    clock = FakeClock()
    station = FakeStation(source=FakePipe(clock), max_pending=200)
    station.source.make = songs((100, 106), (300, 306))
    for stopped_s in (13, 82, 102):
        station.run(37)
        clock.advance(stopped_s)
    station.run(60)
    station.daemon.finish()
    assert station.gaps == []
    assert [since(event) for event in station.outlet.of("event")] == pytest.approx([97.5, 297.5], abs=0.01)
    station.accounted()


def test_samples_that_never_come_are_a_gap_and_later_birds_keep_their_time():
    clock = FakeClock()
    source = FakePipe(clock)
    station = FakeStation(source=source)
    source.make = songs((70, 76))
    station.run(20)
    source.stuck = True
    station.run(30)
    source.stuck = False
    # The other side recorded nothing during the outage.
    source.due_ns = clock.now().awake_ns
    source.frame += 30 * RATE_HZ
    station.run(60)
    station.daemon.finish()
    ((reason, seconds),) = station.gaps
    assert reason == "stall"
    assert seconds == pytest.approx(30, abs=0.3)
    (event,) = station.outlet.of("event")
    # Windows begin anew behind the gap, so the song is met at up to a hop's distance.
    assert 65 <= since(event) <= 70
    station.accounted()
