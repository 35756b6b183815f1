from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny_model import LABELS, manifest, write_tiny_model

from birdwatch.cli.model import model
from birdwatch.cli.model_show import about, label_rows, provenance_rows
from birdwatch.errors import ModelError
from birdwatch.model.manifest import Manifest


def described() -> Manifest:
    return manifest(
        thresholds={"eurrob1": 0.7},
        attribution="recordists of xeno-canto",
        parameters=4_000_000,
        macs=123_000_000,
        provenance={"metrics": {"auc": 0.9512345}, "recordists": ["A", "B"], "checkpoints": [{"sha256": "ab"}]},
    )


def test_facts_are_in_words() -> None:
    facts = dict(about(described()))
    assert facts["input"] == "mel, windows of 5 s at 32000 Hz"
    assert facts["parameters"] == "4,000,000"
    assert facts["multiply-adds"] == "123 million a window"
    assert facts["licence"] == "MIT"
    assert facts["attribution"] == "recordists of xeno-canto"
    assert facts["thresholds"] == "0.5 to 0.7, by label"
    for part in ("128 mels (slaney scale, slaney norm)", "50 to 14000 Hz", "FFT 1024, hop 512", "256 x 256 bilinear"):
        assert part in facts["front end"]


def test_provenance_is_flat() -> None:
    rows = [("metrics.auc", "0.9512"), ("recordists", "A, B"), ("checkpoints.1.sha256", "ab")]
    assert provenance_rows(described()) == rows


def test_labels_have_their_thresholds() -> None:
    assert [row[3] for row in label_rows(described())] == ["0.5", "0.7", "0.5"]


def test_the_provenance_does_not_bury_the_species(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "tiny.onnx", provenance={"metrics": {"auc": 0.95}, "seed": 3})
    short, whole = (CliRunner().invoke(model, ["show", str(path), *more]).stdout for more in ([], ["--all"]))
    assert "provenance: 2 entries; --all shows them" in short
    assert "provenance.metrics.auc" not in short
    assert "provenance.metrics.auc: 0.95" in whole


def test_hundreds_of_recordists_do_not_bury_the_species(tmp_path: Path) -> None:
    names = ", ".join(f"Recordist {number}" for number in range(200))
    path = write_tiny_model(tmp_path / "tiny.onnx", attribution=names)
    short, whole = (CliRunner().invoke(model, ["show", str(path), *more]).stdout for more in ([], ["--all"]))
    assert ", Recordist 9, " in short
    assert "; --all shows the rest" in short
    assert "Recordist 199" not in short
    assert f"attribution: {names}" in whole


def test_text_for_programs_and_pipes(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "tiny.onnx")
    told = CliRunner().invoke(model, ["show", str(path)])
    assert told.exit_code == 0
    lines = told.stdout.splitlines()
    assert lines[0] == "name: tiny"
    assert f"file: {path}" in lines
    assert "parameters: unknown" in lines
    assert lines[-1] == "eurbla\tTurdus merula\tEurasian Blackbird\t0.5"


def test_json_is_the_manifest(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "tiny.onnx")
    told = CliRunner().invoke(model, ["show", "--json", str(path)])
    assert Manifest.from_json(json.dumps(json.loads(told.stdout))) == manifest()
    assert len(json.loads(told.stdout)["labels"]) == len(LABELS)


def test_tables_for_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from birdwatch.cli import model_show as module

    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(module, "_is_terminal", lambda: True)
    path = write_tiny_model(tmp_path / "tiny.onnx", attribution="[red]not markup[/red]")
    told = CliRunner().invoke(model, ["show", str(path)])
    assert told.exit_code == 0
    assert "[red]not markup[/red]" in told.stdout
    assert "European Robin" in told.stdout


def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "tiny.onnx")
    path.write_bytes(path.read_bytes()[:300])
    told = CliRunner().invoke(model, ["show", str(path)])
    assert isinstance(told.exception, ModelError)
    assert "is not a model that ONNX Runtime can load" in str(told.exception)
    assert "\n" not in str(told.exception)
