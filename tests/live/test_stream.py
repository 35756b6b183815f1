"""Network streams against real servers that are killed, paused and restarted at another rate."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes import FakeOutlet, FakeScorer, FakeSystemd
from stream_servers import PASSWORD, USER, StreamServer, free_port
from subscribers import tick, until
from tiny_model import manifest

from birdwatch.errors import ConfigError, StreamError
from birdwatch.live.daemon import Daemon
from birdwatch.live.listener import Listener
from birdwatch.live.message_builder import Reporter
from birdwatch.live.scheduler import Scheduler
from birdwatch.live.source import SystemClock
from birdwatch.live.station import Station
from birdwatch.live.stream_url import has_credentials, redacted
from birdwatch.process import open_files, threads
from birdwatch.scores.events import EventRule
from birdwatch.scores.policy import ScoringPolicy

pytest.importorskip("av")

from birdwatch.live.stream import NetworkStream

pytestmark = pytest.mark.slow


class Live:
    """A station on a real stream with a real clock."""

    def __init__(self, url: str) -> None:
        self.clock = SystemClock()
        self.source = NetworkStream(url, self.clock)
        self.scorer = FakeScorer(manifest())
        self.began = self.clock.now().steady_ns
        policy = ScoringPolicy((EventRule(0.5, 0.3),) * 3)
        self.listener = Listener(self.scorer, policy, self.clock.now(), hop_s=2.5, recording_s=60.0)
        self.outlet = FakeOutlet()
        reporter = Reporter(
            self.listener, self.outlet.publish, self.clock, station="cam", boot_id="b", live=True, minutes=True
        )
        self.station = Station("cam", self.source, self.listener, reporter, self.outlet, self.clock)
        self.daemon = Daemon(
            lambda: [self.station], Scheduler(self.scorer, self.clock), FakeSystemd(), self.clock, poll=lambda: None
        )

    def until(self, done: Callable[[], bool], deadline_s: float = 40.0) -> None:
        end = time.monotonic() + deadline_s
        while not done():
            assert time.monotonic() < end, (self.station.line, self.listener.accounting.__dict__)
            self.daemon.turn()

    def captures(self, seconds: float) -> None:
        until = self.listener.accounting.captured + seconds * 32000
        self.until(lambda: self.listener.accounting.captured >= until)

    def check(self, slack_s: float) -> None:
        accounting = self.listener.accounting
        assert (
            accounting.captured
            == accounting.analysed + accounting.skipped_silent + accounting.dropped + accounting.pending
        )
        wall_s = (self.clock.now().steady_ns - self.began) / 1e9
        told_s = (accounting.captured + accounting.gap) / 32000 + self.listener.clock_sync.adjusted_ns / 1e9
        assert told_s == pytest.approx(wall_s, abs=slack_s)


@pytest.fixture
def server(request, tmp_path: Path) -> Iterator[StreamServer]:
    value = StreamServer(request.param, tmp_path)
    yield value
    value.kill()


ALL = ["icecast", "hls", "rtsp", "rtsp-udp", "rtmp", "rtp", "udp", "srt"]


@pytest.mark.parametrize("server", ALL, indirect=True)
def test_a_stream_is_read_lost_with_its_server_and_found_again_at_another_rate(server, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    live = Live(server.url)
    live.until(lambda: live.station.state == "waiting-device", 25.0)
    if "this PyAV has no srt" in live.station.line:
        pytest.skip("PyAV's own FFmpeg has no SRT; one that is built against the system's has")
    server.start()
    live.captures(4)
    assert live.station.state == "listening"
    server.kill()
    live.until(lambda: live.station.state == "waiting-device")
    server.start(rate_hz={"icecast": 24000, "rtmp": 22050}.get(server.kind, 32000))
    live.captures(4)
    live.check(slack_s=16.0 if server.kind == "hls" else 8.0)
    reasons = [gap["reason"] for gap in live.outlet.of("gap")]
    assert reasons
    assert set(reasons) <= {"stream-lost", "stall"}
    assert live.scorer.calls >= 1
    live.daemon.finish()
    text = caplog.text + "".join(str(message.fields) for message in live.outlet.messages) + live.station.line
    assert PASSWORD not in text
    assert f"{USER}:" not in text


@pytest.mark.parametrize("server", ["icecast", "rtsp", "udp"], indirect=True)
def test_a_server_that_is_paused_is_a_stall_or_late_and_always_accounted_for(server) -> None:
    live = Live(server.start().url)
    live.captures(4)
    server.stop()
    live.until(lambda: live.station.state == "waiting-device")
    server.go_on()
    live.captures(4)
    live.check(slack_s=16.0)
    live.daemon.finish()


def test_srt_is_read_or_refused_in_one_line_that_says_what_to_install() -> None:
    source = NetworkStream(f"srt://127.0.0.1:{free_port()}?passphrase={PASSWORD}", SystemClock())
    source.open()
    with pytest.raises(StreamError) as caught:
        until(source.ready, tick)
    source.close()
    known = f"{source.name}: this PyAV has no srt; install one that has: pip install --no-binary av av"
    assert str(caught.value) == known or "cannot be read: " in str(caught.value)
    assert PASSWORD not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_reconnections_leave_no_thread_and_no_descriptor() -> None:
    clock = SystemClock()
    source = NetworkStream(f"http://{USER}:{PASSWORD}@127.0.0.1:{free_port()}/x.ogg", clock)

    def attempt() -> None:
        source.open()
        with pytest.raises(StreamError) as caught:
            until(source.ready, tick)
        assert PASSWORD not in str(caught.value)
        assert caught.value.__cause__ is None

    for _ in range(20):
        attempt()
    before = threads(), open_files()
    for _ in range(1000):
        attempt()
    source.close()
    assert threads() <= before[0] + 1
    assert open_files() <= before[1] + 1


def test_credentials_are_never_shown() -> None:
    cases = {
        f"rtsp://{USER}:{PASSWORD}@10.0.0.5:554/stream1": "rtsp://10.0.0.5:554/stream1",
        f"http://radio.example/live.m3u8?token={PASSWORD}#x": "http://radio.example/live.m3u8",
        f"srt://host:9000?passphrase={PASSWORD}": "srt://host:9000",
        f"rtmp://host/app/{PASSWORD}": "rtmp://host/app",
    }
    for url, shown in cases.items():
        assert redacted(url) == shown
        assert has_credentials(url)
    assert not has_credentials("http://radio.example:8000/birds.ogg")
    with pytest.raises(ConfigError) as caught:
        NetworkStream(f"gopher://{USER}:{PASSWORD}@host/", SystemClock())
    assert PASSWORD not in str(caught.value)
