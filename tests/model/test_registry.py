"""A name finds an added model, a path stays a path, and what is not there is said with what is."""

from __future__ import annotations

from pathlib import Path

import pytest

from birdwatch.errors import ModelError
from birdwatch.model.registry import (
    find_model,
    find_range_model,
    locale_folder,
    species_hint,
    store_folder,
    stored_models,
)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BIRDWATCH_MODELS", str(tmp_path))
    for name in ("perch", "birdnet"):
        (tmp_path / f"{name}.onnx").write_bytes(b"model")
    return tmp_path


def test_where_the_store_is() -> None:
    assert store_folder({"BIRDWATCH_MODELS": "/srv/models", "XDG_DATA_HOME": "/x"}) == Path("/srv/models")
    assert store_folder({"XDG_DATA_HOME": "/x"}) == Path("/x/birdwatch/models")
    assert store_folder({}) == Path.home() / ".local/share/birdwatch/models"


def test_names_paths_and_the_built_in_model(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_model("birdnet") == store / "birdnet.onnx"
    assert find_model("birdnet.onnx") == Path("birdnet.onnx")
    assert find_model("models/birdnet") == Path("models/birdnet")
    assert list(stored_models()) == ["birdnet", "perch"]
    assert locale_folder(store / "perch.onnx") == store / "locales" / "perch"
    monkeypatch.setattr("birdwatch.model.registry.built_in_model", lambda: Path("built-in.onnx"))
    assert find_model(None) == Path("built-in.onnx")


def test_an_unknown_name_is_answered_with_the_names(store: Path) -> None:
    with pytest.raises(ModelError, match=r"no model 'robin' \(added models: birdnet, perch\)"):
        find_model("robin")
    (store / "birdnet.onnx").unlink()
    with pytest.raises(ModelError, match="add it with `birdwatch model add birdnet`"):
        find_model("birdnet")


def test_the_range_model(store: Path) -> None:
    with pytest.raises(ModelError, match="there is none; `birdwatch model add birdnet` brings one"):
        find_range_model()
    (store / "ranges").mkdir()
    (store / "ranges" / "birdnet.onnx").touch()
    assert find_range_model() == store / "ranges" / "birdnet.onnx"
    (store / "ranges" / "other.onnx").touch()
    with pytest.raises(ModelError, match="there are birdnet, other"):
        find_range_model()


def test_the_way_to_more_species_is_told_to_those_who_lack_it(store: Path) -> None:
    assert species_hint(None, 71) is None
    (store / "birdnet.onnx").unlink()
    assert species_hint(None, 71) == (
        "the built-in model has 71 species; `birdwatch model add birdnet` adds one with 6 522"
    )
    assert species_hint(Path("perch"), 71) is None
