"""`birdwatch embed`: the vectors of the model's embedding output, each with its recording and its time."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
from click.testing import CliRunner, Result
from tiny_model import manifest

from birdwatch.audio.isolated import Decoders
from birdwatch.cli.main import birdwatch
from birdwatch.errors import ConfigError, ModelError, SourceError
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.manifest import METADATA_KEY

parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow: pip install 'birdwatch[parquet]'")

WINDOW = 160000
FRAGILE = (sys.executable, str(Path(__file__).resolve().parents[1] / "support" / "fragile_decoder.py"))


@pytest.fixture(scope="module")
def model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small network, its sixteen bands named as the embedding."""
    network = onnx.load(tiny_model)
    network.graph.output.append(onnx.helper.make_tensor_value_info("bands", onnx.TensorProto.FLOAT, ["n", 16]))
    onnx.helper.set_model_props(network, {METADATA_KEY: manifest(embedding_output="bands").to_json()})
    path = tmp_path_factory.mktemp("embed") / "tiny.onnx"
    onnx.save(network, path)
    return path


def embed(model: Path, out: Path, *recordings: Path, more: tuple[str, ...] = ()) -> Result:
    line = ["embed", *map(str, recordings), "--model", str(model), "--out", str(out), "--provider", "cpu", *more]
    return CliRunner().invoke(birdwatch, line)


def test_one_vector_a_window_with_its_place_and_time(model: Path, tmp_path: Path, song: np.ndarray) -> None:
    folder = tmp_path / "night"
    folder.mkdir()
    soundfile.write(folder / "20250501_041200.wav", song, 32000, subtype="FLOAT")
    soundfile.write(folder / "short.flac", song[: 2 * 32000], 32000)
    out = tmp_path / "e.parquet"
    result = embed(model, out, folder)
    assert result.exit_code == 0, result.output
    assert "4 vectors of 16 numbers from 2 recordings" in result.stderr
    table = parquet.read_table(out)
    rows = table.drop_columns(["embedding"]).to_pylist()
    assert [(row["recording"], row["start_s"], row["end_s"]) for row in rows] == [
        ("20250501_041200", 0.0, 5.0),
        ("20250501_041200", 5.0, 10.0),
        ("20250501_041200", 10.0, 13.0),
        ("short", 0.0, 2.0),
    ]
    assert [str(row["start"])[:19] for row in rows[:2]] == ["2025-05-01 04:12:00", "2025-05-01 04:12:05"]
    assert rows[3]["start"] is None
    windows = np.zeros((3, WINDOW), np.float32)
    windows.reshape(-1)[: len(song)] = song
    vectors = np.stack(table["embedding"].to_pylist())[:3]
    np.testing.assert_allclose(vectors, OnnxClassifier(model, provider="cpu").embed(windows), atol=1e-6)
    about = json.loads(table.schema.metadata[b"birdwatch.run"])
    assert (about["model"], about["hop_s"]) == ("tiny", 5.0)


def test_the_hop_can_be_chosen(model: Path, tmp_path: Path, song: np.ndarray) -> None:
    soundfile.write(tmp_path / "a.wav", song, 32000)
    assert embed(model, tmp_path / "e.parquet", tmp_path / "a.wav", more=("--hop", "1")).exit_code == 0
    assert parquet.read_table(tmp_path / "e.parquet")["start_s"].to_pylist() == [float(n) for n in range(9)]


def test_a_broken_recording_costs_no_other(model: Path, tmp_path: Path, song: np.ndarray) -> None:
    soundfile.write(tmp_path / "b.wav", song, 32000)
    (tmp_path / "a.wav").write_text("text, not audio")
    out = tmp_path / "e.parquet"
    result = embed(model, out, tmp_path / "a.wav", tmp_path / "b.wav")
    assert result.exit_code == 3
    assert parquet.read_table(out)["recording"].unique().to_pylist() == ["b"]
    assert "a.wav" in Path(f"{out}.errors.csv").read_text()


def test_a_name_of_any_bytes_and_a_codec_that_crashes_cost_no_other(
    model: Path, tmp_path: Path, song: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("birdwatch.cli.embed.Decoders", lambda count: Decoders(count, command=FRAGILE))
    folder = tmp_path / "night"
    folder.mkdir()
    soundfile.write(folder / "a.ogg", song, 32000)
    (folder / os.fsdecode(b"caf\xe9.ogg")).write_bytes((folder / "a.ogg").read_bytes())
    (folder / "crash.ogg").write_bytes((folder / "a.ogg").read_bytes())
    soundfile.write(folder / "99991231_235959.wav", song, 32000)
    out = tmp_path / "e.parquet"
    result = embed(model, out, folder)
    assert result.exit_code == 3, result.output
    assert parquet.read_table(out)["recording"].unique().to_pylist() == ["99991231_235959", "a", r"caf\xe9"]
    assert "crash.ogg cannot be read: its decoder crashed (SIGSEGV)" in Path(f"{out}.errors.csv").read_text()
    assert "birdwatch: warning: " in result.stderr
    assert "start in the year 9999, which is ignored" in result.stderr


def test_what_cannot_be_done_leaves_nothing(model: Path, tiny_model: Path, tmp_path: Path, song: np.ndarray) -> None:
    soundfile.write(tmp_path / "a.wav", song, 32000)
    (tmp_path / "b.wav").write_text("text, not audio")
    out = tmp_path / "e.parquet"
    cases = [
        (embed(tiny_model, out, tmp_path / "a.wav"), ModelError, "has no embedding output"),
        (embed(model, tmp_path / "e.csv", tmp_path / "a.wav"), ConfigError, "ends in .parquet"),
        (embed(model, out, tmp_path / "b.wav"), SourceError, "b.wav"),
    ]
    for result, kind, reason in cases:
        assert isinstance(result.exception, kind)
        assert reason in str(result.exception)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "b.wav"]
