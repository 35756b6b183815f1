"""Several sources in one daemon: each a station of its own, changed by reloads that succeed or change nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from fakes import FakeClock, FakeSource, FakeSystemd

from birdwatch.config.loading import Configuration
from birdwatch.errors import BirdwatchError, ConfigError, SourceError
from birdwatch.live import stations as module
from birdwatch.live.channels import SharedSource
from birdwatch.live.daemon import Daemon
from birdwatch.live.scheduler import Scheduler
from birdwatch.live.stations import Stations
from birdwatch.messaging.curve import make_client_keys, make_server_keys
from birdwatch.messaging.messages import Envelope
from birdwatch.messaging.publisher import Publisher
from birdwatch.model.classifier import OnnxClassifier


class PassiveSource(FakeSource):
    """Delivers what has become due and never moves the clock: the daemon's pause does."""

    def read(self, timeout_s: float) -> Any:
        if not self.is_open or self.due_ns > self.clock.now().awake_ns:
            if self.gone and self.is_open:
                return super().read(timeout_s)
            # As a read that waits in vain; with several sources it does not wait.
            self.clock.advance(timeout_s)
            return []
        return super().read(timeout_s)


class Site:
    """A configuration file, and a daemon over the stations that it names; sources are fakes by device name."""

    def __init__(self, folder: Path, model: Path, text: str, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
        self.file = folder / "station.toml"
        self.file.write_text(text)
        self.clock = FakeClock()
        self.sources: dict[str, PassiveSource] = {}
        monkeypatch.setattr(module, "make_source", self.source)
        self.configuration = Configuration(self.file, options, {})
        endpoint = f"ipc://{folder}/pub"
        self.context: zmq.Context[Any] = zmq.Context()
        self.socket = self.context.socket(zmq.SUB)
        self.socket.rcvhwm = 0
        loaded = self.configuration.read()
        keys = loaded.settings.curve_keys
        self.publisher = Publisher(endpoint, Envelope("site", "", "site"), keys=keys)
        self.socket.subscribe("")
        self.socket.connect(endpoint)
        self.stations = Stations(loaded, OnnxClassifier(model, provider="cpu"), self.publisher, self.clock)
        scorer = self.stations.running()[0].listener.scorer
        self.daemon = Daemon(
            self.stations.running,
            Scheduler(scorer, self.clock),
            FakeSystemd(),
            self.clock,
            poll=self.publisher.poll,
            reload=lambda: self.stations.reload(self.configuration.read()),
            on_turn=self.stations.follow,
            pause=self.clock.advance,
        )
        self.received: list[dict[str, Any]] = []

    def source(self, settings: Any, clock: FakeClock) -> Any:
        if settings.device == "broken":
            raise SourceError("no such device")
        source = PassiveSource(clock)
        source.name = f"ALSA/{settings.device}"
        rng = np.random.default_rng(len(self.sources))
        source.make = lambda n: rng.normal(0, 0.1, len(n))
        self.sources[settings.station] = source
        if settings.channel != "each":
            return source
        source.channels = 2
        return SharedSource(source)

    def run(self, seconds: float) -> None:
        until = self.clock.now().steady_ns + round(seconds * 1e9)
        while self.clock.now().steady_ns < until:
            self.daemon.turn()

    def station(self, name: str) -> Any:
        return next(one for one in self.stations.running() if one.name == name and one.state != "stopping")

    def messages(self) -> list[dict[str, Any]]:
        while self.socket.poll(100):
            self.received.append(json.loads(self.socket.recv_multipart()[1]))
        return self.received

    def close(self) -> None:
        self.daemon.finish()
        self.publisher.close()
        self.socket.close(0)
        self.context.term()


TWO = """
threshold = 0.01
[source.garden]
device = "usb"
[source.pond]
device = "line"
threshold = 0.5
hop = 1.0
"""


@pytest.fixture
def site(tmp_path, tiny_model, monkeypatch):
    value = Site(tmp_path, tiny_model, TWO, monkeypatch)
    yield value
    value.close()


def test_each_source_is_a_station_with_its_own_settings_numbers_and_accounting(site):
    site.run(31)
    garden, pond = site.station("garden").listener, site.station("pond").listener
    assert (garden.windows, pond.windows) == (11, 26)
    for listener in (garden, pond):
        accounting = listener.accounting
        assert accounting.captured == accounting.analysed + accounting.pending
        assert accounting.gap == 0
    by_name: dict[str, list[dict[str, Any]]] = {"garden": [], "pond": []}
    for message in site.messages():
        by_name[message["station"]].append(message)
    for name, device in (("garden", "ALSA/usb"), ("pond", "ALSA/line")):
        seqs = [message["seq"] for message in by_name[name]]
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
        assert {message["source"] for message in by_name[name]} == {device}
        assert len({message["boot_id"] for message in by_name[name]}) == 1
    detections = [message for message in by_name["garden"] if message["kind"] == "detection"]
    assert {message["threshold"] for message in detections} == {0.01}
    assert by_name["garden"][0]["boot_id"] != by_name["pond"][0]["boot_id"]


def test_a_source_that_is_lost_costs_no_other(site):
    site.run(10)
    site.sources["pond"].gone = site.sources["pond"].absent = True
    site.run(30)
    assert site.station("pond").state == "waiting-device"
    assert site.station("garden").state == "listening"
    assert site.daemon.line.startswith("waiting-device: 1 of 2 stations are well; pond waiting-device")
    assert site.station("garden").listener.accounting.gap == 0
    assert site.station("garden").listener.windows >= 14
    # The outage has not ended, and the status tells how long it is so far.
    seconds = site.station("pond").status().seconds
    assert seconds.captured == pytest.approx(10, abs=0.5)
    assert seconds.captured + seconds.gap == pytest.approx(40, abs=0.5)


def test_a_reload_adds_removes_and_changes_without_touching_the_others(site):
    site.run(12)
    garden, pond = site.station("garden"), site.station("pond")
    site.file.write_text(
        'threshold = 0.02\n[source.garden]\ndevice = "usb"\n[source.pond]\ndevice = "line"\nhop = 2.0\n'
        '[source.shed]\ndevice = "third"\n'
    )
    site.daemon.reload()
    site.run(12)
    assert site.station("garden") is garden
    assert site.sources["garden"].opens == 1
    assert garden.listener.policy.rules[0].on == 0.02
    assert garden.listener.accounting.gap == 0
    assert site.station("pond") is not pond
    assert pond.state == "stopping"
    assert site.station("shed").state == "listening"
    site.file.write_text('threshold = 0.02\n[source.garden]\ndevice = "usb"\n')
    site.daemon.reload()
    site.run(6)
    assert [station.name for station in site.stations.running()] == ["garden"]
    boots = {(m["station"], m["boot_id"]) for m in site.messages()}
    assert len([name for name, _ in boots if name == "pond"]) == 2
    last = {m["boot_id"]: m for m in site.received if m["kind"] == "status" and m["station"] == "pond"}
    for status in last.values():
        assert (status["state"], status["seconds"]["pending"]) == ("stopping", 0)


@pytest.mark.slow
def test_the_status_has_the_level_and_the_place_also_after_a_reload(site):
    site.run(12)
    site.file.write_text('lat = 52.5\nlon = 13.25\n[source.garden]\ndevice = "usb"\n[source.pond]\ndevice = "line"\n')
    first, *_, last = [m for m in site.messages() if m["kind"] == "status" and m["station"] == "garden"]
    assert (first["lat"], first["lon"]) == (None, None)
    # The source is noise of 0.1 of full scale.
    assert last["level_dbfs"] == pytest.approx(-20, abs=0.2)
    site.daemon.reload()
    site.run(12)
    newest = [m for m in site.messages() if m["kind"] == "status" and m["station"] == "garden"][-1]
    assert (newest["lat"], newest["lon"]) == (52.5, 13.25)
    site.sources["garden"].gone = site.sources["garden"].absent = True
    site.run(12)
    newest = [m for m in site.messages() if m["kind"] == "status" and m["station"] == "garden"][-1]
    assert (newest["state"], newest["level_dbfs"]) == ("waiting-device", None)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('threshold = 0.9\n[source.garden]\ndevice = "usb"\n[source.pond]\ndevice = "broken"\n', "no such device"),
        ('threshold = 0.9\n[source.garden]\ndevice = "usb"\nactive = "never"\n', "active is 'never'"),
        ('threshold = 0.9\n[source.garden]\ndevice = "usb"\nspecies = "/nowhere.txt"\n', "nowhere"),
        ('threshold = 0.9\n[source.garden]\ndevise = "usb"\n', "did you mean device"),
        ('threshold = 0.9\nclips_max_gb = 1e308\n[source.garden]\ndevice = "usb"\n', r"expected at most 1e\+06"),
        ('threshold = 0.9\nevent_bridge = 1e308\n[source.garden]\ndevice = "usb"\n', "expected at most 86400"),
    ],
)
def test_nothing_of_a_refused_reload_is_in_force(site, text, match):
    site.run(8)
    before = [(station, station.listener.policy) for station in site.stations.running()]
    site.file.write_text(text)
    with pytest.raises(BirdwatchError, match=match):
        site.stations.reload(site.configuration.read())
    site.run(8)
    assert [(station, station.listener.policy) for station in site.stations.running()] == before
    assert {station.state for station in site.stations.running()} == {"listening"}
    assert all(source.opens == 1 for name, source in site.sources.items() if name in ("garden",)) or "broken" in text


def test_keys_that_are_refused_leave_the_old_species_list_in_force(tmp_path, tiny_model, monkeypatch):
    keys = tmp_path / "keys"
    make_server_keys(keys)
    make_client_keys(keys, "c")
    table = '[source.garden]\ndevice = "usb"\n'
    site = Site(tmp_path, tiny_model, f"threshold = 0.5\n{table}", monkeypatch, curve_keys=str(keys))
    try:
        site.run(3)
        (station,) = site.stations.running()
        before = station.listener.policy
        (tmp_path / "species.txt").write_text("European Robin\n")
        site.file.write_text(f'threshold = 0.9\nspecies = "{tmp_path}/species.txt"\n{table}')
        (keys / "clients" / "bad.key").write_text("garbage")
        with pytest.raises(ConfigError, match=r"bad\.key"):
            site.stations.reload(site.configuration.read())
        assert station.listener.policy is before
        (keys / "clients" / "bad.key").unlink()
        assert "are in force" in site.stations.reload(site.configuration.read())
        assert station.listener.policy.species is not None
    finally:
        site.close()


def test_channels_of_one_device_are_stations_of_their_own(tmp_path, tiny_model, monkeypatch):
    text = 'threshold = 0.01\n[source.pair]\ndevice = "usb"\nchannel = "each"\n'
    site = Site(tmp_path, tiny_model, text, monkeypatch)
    try:
        site.run(1)
        read = site.sources["pair"]._chunk

        def left_only(ago_ns: int) -> Any:
            chunk = read(ago_ns)
            chunk.samples[:, 1] = 0.0
            return chunk

        site.sources["pair"]._chunk = left_only  # type: ignore[method-assign]
        site.run(30)
        left, right = site.station("pair-0").listener, site.station("pair-1").listener
        assert site.sources["pair"].opens == 1
        assert left.windows >= 10
        assert right.windows <= 1
        assert right.accounting.skipped_silent > 20 * 32000
        assert right.level.flags == ("digital-zero",)
        site.sources["pair"].gone = site.sources["pair"].absent = True
        site.run(20)
        assert {station.state for station in site.stations.running()} == {"waiting-device"}
        site.sources["pair"].absent = False
        site.run(20)
        assert {station.state for station in site.stations.running()} == {"listening", "degraded"}
        for listener in (left, right):
            accounting = listener.accounting
            assert (accounting.captured + accounting.gap) / 32000 == pytest.approx(70, abs=1.5)
        site.file.write_text('threshold = 0.01\n[source.garden]\ndevice = "line"\n')
        site.daemon.reload()
        site.run(8)
        assert [station.name for station in site.stations.running()] == ["garden"]
    finally:
        site.close()
