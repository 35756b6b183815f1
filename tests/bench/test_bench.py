"""The benchmark's own parts, and the command with a small model: that the figures are made of what was measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from tiny_model import manifest

from birdwatch.bench.child import child_cost
from birdwatch.bench.listening import listening_measures
from birdwatch.bench.network import bare_networks, network_measures
from birdwatch.bench.recording import RATE_HZ, song, write_recordings
from birdwatch.bench.report import Measure, Report, processor
from birdwatch.bench.stages import stage_measures
from birdwatch.bench.timing import Cost, median_cost, taking_turns
from birdwatch.cli.bench import bench
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.session import CPU
from birdwatch.process import cores


def test_calls_take_turns_behind_a_round_that_is_not_counted():
    order: list[str] = []
    calls = {name: (lambda name=name: order.append(name)) for name in "ab"}
    costs = taking_turns(calls, 3)
    assert order == ["a", "b"] * 4
    assert [len(each) for each in costs.values()] == [3, 3]


def test_processor_seconds_are_those_of_work_not_of_waiting():
    import threading

    wait = threading.Event()
    (cost,) = taking_turns({"waiting": lambda: wait.wait(0.05)}, 1)["waiting"]
    assert cost.wall_s >= 0.05
    assert cost.cpu_s < 0.04


def test_the_median_is_not_moved_by_one_slow_run():
    assert median_cost([Cost(1, 5), Cost(900, 7), Cost(2, 6)]) == Cost(2, 6)


def test_the_recordings_are_the_same_audio_in_each_format(tmp_path):
    paths = write_recordings(tmp_path, 12.5)
    assert set(paths) == {"ogg", "flac", "wav"}
    loud = {}
    for kind, path in paths.items():
        audio, rate_hz = soundfile.read(path)
        assert (rate_hz, audio.ndim, len(audio)) == (RATE_HZ, 1, round(12.5 * RATE_HZ))
        loud[kind] = np.sqrt(np.mean(audio**2))
    assert loud["flac"] == pytest.approx(loud["wav"], rel=1e-6)
    assert loud["ogg"] == pytest.approx(loud["wav"], rel=0.2)
    assert np.abs(song(3.0)).max() < 1


def test_the_processors_name_comes_from_the_system():
    assert processor(["flags: x", "model name\t: Fast One 3000"]).startswith("Fast One 3000, ")
    assert processor([]).endswith("cores")


def test_the_table_has_a_line_for_each_figure_and_the_json_the_same():
    measures = (Measure("a.x", 0.12345, "ms", "lower", "note"), Measure("b.y", 1234.5, "windows/s", "higher"))
    report = Report("title", {"machine": "m"}, measures)
    lines = report.table().splitlines()
    assert lines == ["title", "  machine: m", "", "a.x        0.123 ms  note", "", "b.y  1234 windows/s"]
    read = json.loads(report.json())
    assert [Measure(**values) for values in read["measures"]] == list(measures)
    assert read["setting"]["machine"] == "m"


def test_a_childs_memory_and_time_are_its_own():
    held = np.ones(30_000_000)  # 240 MB here must not be found there
    cost = child_cost([sys.executable, "-S", "-c", "import sys; b = bytearray(60_000_000); print('x' * 100000)"])
    assert held[0] == 1
    assert cost.status == 0
    assert cost.wall_s > 0
    if cost.memory_bytes is not None:
        assert 60e6 < cost.memory_bytes < 150e6
    failed = child_cost([sys.executable, "-c", "raise SystemExit('it went wrong')"])
    assert (failed.status, failed.stderr.strip()) == (1, "it went wrong")


def test_the_bound_is_the_fastest_way_to_run_the_network_on_all_cores(tiny_model):
    classifier = OnnxClassifier(tiny_model, provider="cpu")
    data = Path(tiny_model).read_bytes()
    measures, best, seconds = network_measures(data, tiny_model, classifier.manifest, provider=CPU, rounds=1, windows=4)
    ways = bare_networks(data, tiny_model, classifier.manifest, provider=CPU)
    assert [measure.name for measure in measures] == [f"network.{way.name}" for way in ways]
    rates = {
        measure.name: measure.value
        for measure, way in zip(measures, ways, strict=True)
        if way.at_once * way.threads >= cores()
    }
    assert f"network.{best.name}" == max(rates, key=rates.__getitem__)
    assert 0 < seconds < 1


@pytest.mark.slow
def test_bench_measures_every_stage_and_the_whole(tiny_model):
    arguments = ["--model", str(tiny_model), "--provider", "cpu", "--seconds", "10", "--rounds", "1", "--json"]
    result = CliRunner().invoke(bench, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    values = {measure["name"]: measure["value"] for measure in json.loads(result.stdout)["measures"]}
    expected = {"stage.decode ogg", "stage.resample", "stage.mel", "whole.bound", "whole.flac", "latency.p95"}
    assert expected | {"process.10 s file", "process.recording"} <= set(values)
    assert all(value > 0 for value in values.values())
    assert values["whole.ogg share"] == pytest.approx(values["whole.ogg"] / values["whole.bound"], rel=1e-6)
    assert 0 < values["whole.ogg cpu share"] < 1


def test_a_waveform_model_has_no_mel_stage(tmp_path):
    recordings = write_recordings(tmp_path, 2)
    model = manifest(input="waveform", frontend=None)
    measures, work_s = stage_measures(recordings, model, seconds=2, hop_s=2.5, rounds=1)
    assert "stage.mel" not in {measure.name for measure in measures}
    assert set(work_s) == {"decode ogg", "decode flac", "decode wav", "resample"}


@pytest.mark.slow
def test_listening_is_measured_on_a_real_station_and_its_subscriber(tiny_model):
    measures = listening_measures(model=tiny_model, provider="cpu", seconds=5.5, start_s=0.5)
    values = {measure.name: measure.value for measure in measures}
    assert values["listen.windows"] >= 1
    assert 0 < values["listen.latency p95"] < 60_000
    assert 20 < values.get("listen.memory", 100) < 1000
