"""`run --lat --lon --week --species --locale`: what is filtered is silent in every table, and said."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result
from tiny_model import write_range_model

from birdwatch.cli.main import birdwatch
from birdwatch.errors import ConfigError


@pytest.fixture
def recording(tmp_path: Path, song: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BIRDWATCH_MODELS", str(tmp_path / "store"))
    write_range_model(tmp_path / "store" / "ranges" / "tiny.onnx")
    soundfile.write(tmp_path / "dawn.wav", song, 32000)
    return tmp_path / "dawn.wav"


def run(recording: Path, model: Path, *more: str, out: str = "out.csv", form: str = "detections") -> Result:
    line = ["run", str(recording), "--model", str(model), "--out", str(recording.with_name(out)), "--format", form]
    return CliRunner().invoke(birdwatch, [*line, "--provider", "cpu", "--threshold", "0", *more])


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_what_does_not_live_there_is_not_detected(recording: Path, tiny_model: Path) -> None:
    everything = run(recording, tiny_model)
    assert everything.exit_code == 0, everything.output
    assert {row["label"] for row in table(recording.with_name("out.csv"))} == {"gretit1", "eurrob1", "eurbla"}
    result = run(recording, tiny_model, "--lat", "47", "--lon", "-9", "--week", "20")
    assert result.exit_code == 0, result.output
    assert "species filter: 2 of 3 species, by the range model of tiny at 47, -9, week 20" in result.stderr
    assert {row["label"] for row in table(recording.with_name("out.csv"))} == {"gretit1", "eurbla"}
    (filtered,) = table(recording.with_name("out.csv.filtered.csv"))
    assert filtered["scientific_name"] == "Erithacus rubecula"
    assert "range model of tiny at 47, -9, week 20" in filtered["reason"]
    run(recording, tiny_model)
    assert not recording.with_name("out.csv.filtered.csv").exists()


def test_a_list_holds_for_probabilities_and_presence(recording: Path, tiny_model: Path) -> None:
    listed = recording.with_name("garden.txt")
    listed.write_text("European Robin\n")
    assert run(recording, tiny_model, "--species", str(listed), form="kaggle").exit_code == 0
    rows = table(recording.with_name("out.csv"))
    assert {row[code] for row in rows for code in ("gretit1", "eurbla")} == {"0"}
    assert all(float(row["eurrob1"]) > 0 for row in rows)
    assert run(recording, tiny_model, "--species", str(listed), form="submission").exit_code == 0
    presence = {row["class_name"]: row["presence"] for row in table(recording.with_name("out.csv"))}
    assert presence == {"gretit1": "0", "eurrob1": "1", "eurbla": "0"}


def test_names_in_another_language(recording: Path, tiny_model: Path) -> None:
    names = recording.with_name("de.txt")
    names.write_text("Parus major_Kohlmeise\nTurdus merula_Amsel\n")
    result = run(recording, tiny_model, "--locale", str(names))
    assert result.exit_code == 0, result.output
    assert "which keep the model's: 1\n" in result.stderr
    assert {row["common_name"] for row in table(recording.with_name("out.csv"))} == {
        "Kohlmeise",
        "European Robin",
        "Amsel",
    }


def test_a_run_is_resumed_with_the_same_filter_only(recording: Path, tiny_model: Path) -> None:
    first = run(recording, tiny_model, "--lat", "47", "--lon", "9", "--resume")
    assert first.exit_code == 0, first.output
    second = run(recording, tiny_model, "--lat", "47", "--lon", "-9", "--resume")
    assert isinstance(second.exception, ConfigError)
    assert "filter" in str(second.exception)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--lat", "47"], "longitude"),
        (["--lat", "95", "--lon", "0"], "lat is '95', expected -90 to 90"),
        (["--lat", "47", "--lon", "9", "--week", "49"], "week is '49', expected 1 to 48"),
        (["--week", "4"], "without a place"),
        (["--species", "absent.txt"], "absent.txt cannot be read"),
        (["--locale", "xx"], "no labels in 'xx'"),
    ],
)
def test_bad_choices_are_one_clear_error(recording: Path, tiny_model: Path, arguments: list[str], reason: str) -> None:
    result = run(recording, tiny_model, *arguments)
    assert isinstance(result.exception, ConfigError)
    assert reason in str(result.exception)
    assert not recording.with_name("out.csv").exists()
