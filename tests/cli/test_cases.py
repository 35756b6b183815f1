"""The small recordings that once gave wrong results, through `run`, `analyze` and a station: each to its real end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from fakes import FakeClock
from stations import FakeStation

from birdwatch import analyze, load_model
from birdwatch.cli.main import birdwatch
from birdwatch.live.recorded import RecordedSource

pytestmark = pytest.mark.slow

parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow: pip install 'birdwatch[parquet]'")

SECONDS = {
    "1s.wav": 1.0,
    "stereo.wav": 1.0,
    "flac_unknown_length_10s_16k.flac": 10.0,
    "flac_unknown_length_2s_8k.flac": 2.0,
    "mp3_two_joined_20s.mp3": 20.13,
    "mp3_vbr_without_xing_24s.mp3": 24.048,
    "ogg_chained_20s.ogg": 20.0,
    "wav_data_size_44_10s.wav": 10.0,
    "wav_data_size_half_10s.wav": 10.0,
    "wav_guano_year_0001.wav": 1.0,
    "wav_guano_year_9999.wav": 1.0,
    "attacks/chained.ogg": 4.02,
    "attacks/good.wav": 2.0,
    "attacks/guano_9999.wav": 2.0,
    "attacks/piped.flac": 1.9,
    "attacks/30240513_043000.wav": 2.0,
    "attacks/99991231_235959.wav": 2.0,
}


def test_run_analyze_and_listen_reach_the_end_of_every_case(
    shared_cases: Path, tiny_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "cases.parquet"
    line = ["run", str(shared_cases), "--model", str(tiny_model), "--out", str(out)]
    done = CliRunner().invoke(birdwatch, line)
    assert done.exit_code == 3, done.output
    told = json.loads(parquet.read_schema(out).metadata[b"birdwatch.run"])
    found = {Path(row["path"]).relative_to(shared_cases).as_posix(): row["duration_s"] for row in told["recordings"]}
    assert found == {name: pytest.approx(seconds, abs=0.02) for name, seconds in SECONDS.items()}
    model = load_model(tiny_model)
    for name, seconds in SECONDS.items():
        result = analyze(shared_cases / name, model)
        assert result.duration_s == pytest.approx(seconds, abs=0.02)
        station = FakeStation(source=RecordedSource(str(shared_cases / name), FakeClock(), live=False))
        station.daemon.run()
        accounting = station.listener.accounting
        assert accounting.end_frame / station.listener.rate_hz == pytest.approx(seconds, abs=0.02)
    assert {Path(row["path"]).name for row in told["failed"]} == {
        "rate1.wav",
        "rate_over_2e31.wav",
        "not_audio_random.wav",
    }
