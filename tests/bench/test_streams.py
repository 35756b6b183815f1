"""`birdwatch bench streams`: the search, and one small trial with real processes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tiny_model import manifest

from birdwatch.bench import streams as module
from birdwatch.bench.stream_audio import write_stream
from birdwatch.bench.stream_server import PIECE_S, _pages
from birdwatch.bench.streams import Daemon, _largest, streams_measures
from birdwatch.process import cores


@pytest.mark.parametrize("true", [0, 1, 5, 31, 32, 33, 100, 700, 1000])
def test_the_search_finds_the_largest_number_to_a_tenth(true: int) -> None:
    asked: list[int] = []

    def carries(count: int) -> bool:
        asked.append(count)
        return count <= true

    found = _largest(carries, first=32, most=1000)
    assert found <= true <= max(found + 1, found * 1.1)
    assert max(asked) <= 1000
    assert len(asked) < 14


def test_the_server_sends_opus_as_an_encoder_does(tmp_path: Path) -> None:
    pytest.importorskip("av")
    data = write_stream(tmp_path, "opus", 12).read_bytes()
    pages = _pages(data)
    assert b"".join(pages) == data
    # One each tenth of a second, and the last one that holds the encoder's rest.
    assert len(pages) - 12 / PIECE_S in (0, 1)
    assert all(page.startswith(b"OggS") for page in pages)
    assert pages[0].count(b"OggS") == 3


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
@pytest.mark.parametrize("codec", ["pcm", "opus"])
def test_two_streams_are_carried(tiny_model, monkeypatch, codec) -> None:
    monkeypatch.setattr(module, "SETTLE_S", 6.0)
    measures, trials = streams_measures(
        Daemon(tiny_model, "cpu", manifest().codes[0], 2.5),
        seconds=10.0,
        codec=codec,
        per_window_s=0.01,
        first=2,
        most=2,
    )
    trial = trials[0]
    assert (trial.streams, trial.dropped_s) == (2, 0.0)
    assert 0 < trial.p95_ms < 1e9
    assert trial.memory_mb > 20
    figures = {measure.name: measure.value for measure in measures}
    assert figures["streams.carried"] == max((one.streams for one in trials if one.passes), default=0)
    assert figures["streams.bound"] == pytest.approx(cores() * 2.5 / 0.01)
