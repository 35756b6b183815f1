from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny_model import write_tiny_model

from birdwatch.cli import model_list as module
from birdwatch.cli.model import model


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with one good model and one that is none, beside a built-in one."""
    folder = tmp_path / "store"
    folder.mkdir()
    write_tiny_model(folder / "garden.onnx", license="CC BY")
    (folder / "text.onnx").write_text("[no] model")
    built_in = write_tiny_model(tmp_path / "built_in.onnx")
    monkeypatch.setenv("BIRDWATCH_MODELS", str(folder))
    monkeypatch.setattr(module, "built_in_model", lambda: built_in)
    return folder


def test_models_and_what_cannot_be_used(store: Path) -> None:
    told = CliRunner().invoke(model, ["list"])
    assert told.exit_code == 0, told.exception
    lines = told.stdout.splitlines()
    # Columns stand under each other.
    assert len({line.index(word) for line, word in zip(lines[:3], ("labels", "3", "3"), strict=False)}) == 1
    header, *rows = (re.split(r" {2,}", line) for line in lines)
    assert header[:3] == ["name", "labels", "window"]
    assert [row[0] for row in rows] == ["(built in)", "garden", "text"]
    assert rows[1][1:4] == ["3", "5 s at 32000 Hz", "mel"]
    assert rows[1][5:7] == ["CC BY", str(store / "garden.onnx")]
    assert "not a model that ONNX Runtime can load" in rows[2][-1]


def test_json_lines(store: Path) -> None:
    told = CliRunner().invoke(model, ["list", "--json"])
    rows = [json.loads(line) for line in told.stdout.splitlines()]
    assert [(row["name"], "fault" in row) for row in rows] == [("(built in)", False), ("garden", False), ("text", True)]


def test_table_for_a_terminal(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = CliRunner().invoke(model, ["list"])
    assert told.exit_code == 0, told.exception
    assert "garden" in told.stdout
    assert "text.onnx" in told.stdout


def test_an_empty_store_says_how_to_fill_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIRDWATCH_MODELS", str(tmp_path / "none"))

    def absent() -> Path:
        raise module.ModelError("expected one built-in model, found 0")

    monkeypatch.setattr(module, "built_in_model", absent)
    told = CliRunner().invoke(model, ["list"])
    assert told.exit_code == 0
    assert "birdwatch model add birdnet" in told.stdout
    assert "found 0" in told.stderr
