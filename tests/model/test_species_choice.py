"""A place, a season and a list become one filter."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_model import LABELS, write_range_model

from birdwatch.errors import ConfigError, ModelError
from birdwatch.model.species_choice import choose_species


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BIRDWATCH_MODELS", str(tmp_path))
    write_range_model(tmp_path / "ranges" / "tiny.onnx")
    return tmp_path


def test_a_place_and_a_list(store: Path, tmp_path: Path) -> None:
    assert choose_species(LABELS) is None
    north_west = choose_species(LABELS, latitude=47, longitude=-9, week=20)
    assert north_west is not None
    assert north_west.allowed.tolist() == [True, False, True]
    assert str(north_west) == (
        "2 of 3 species, by the range model of tiny at 47, -9, week 20 (1 unknown to it are allowed)"
    )
    listed = tmp_path / "garden.txt"
    listed.write_text("Turdus merula\nErithacus rubecula\n")
    by_name = choose_species(LABELS, species=listed)
    both = choose_species(LABELS, latitude=47, longitude=-9, species=listed)
    assert by_name is not None
    assert both is not None
    assert by_name.allowed.tolist() == [False, True, True]
    assert both.allowed.tolist() == [False, False, True]


def test_what_makes_no_filter(store: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"its longitude \(--lon\) is missing"):
        choose_species(LABELS, latitude=1)
    with pytest.raises(ConfigError, match="filters nothing without a place"):
        choose_species(LABELS, week=3)
    listed = tmp_path / "list.txt"
    listed.write_text("Erithacus rubecula\n")
    with pytest.raises(ConfigError, match="no species is left: 0 of 3 species"):
        choose_species(LABELS, latitude=47, longitude=-9, species=listed)
    (store / "ranges" / "tiny.onnx").unlink()
    with pytest.raises(ModelError, match="model add birdnet"):
        choose_species(LABELS, latitude=-34, longitude=151)
