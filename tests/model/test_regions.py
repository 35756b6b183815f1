"""Lists of the built-in model's species by region, for those who have no range model."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from birdwatch.api import load_model
from birdwatch.errors import ModelError
from birdwatch.model.manifest import Label
from birdwatch.model.regions import REGIONS, by_region, region_of, regions_file
from birdwatch.model.species_choice import choose_species


@pytest.fixture
def no_range_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIRDWATCH_MODELS", str(tmp_path))


def test_the_table_has_a_row_for_each_species_of_the_built_in_model() -> None:
    with regions_file().open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    labels = load_model(provider="cpu").manifest.labels
    names = [row["scientific_name"] for row in rows]
    assert sorted(names) == sorted(label.scientific_name for label in labels)
    assert len(set(names)) == len(names)
    assert {row[region.name] for row in rows for region in REGIONS} == {"0", "1"}


@pytest.mark.parametrize(
    ("place", "name"),
    [((52.5, 13.4), "europe"), ((64.1, -21.9), "europe"), ((40.7, -74.0), "north_america"), ((-33.9, 151.2), None)],
)
def test_where_a_place_lies(place: tuple[float, float], name: str | None) -> None:
    region = region_of(*place)
    assert (region.name if region else None) == name


def test_birds_of_one_continent_are_left_out_on_the_other(no_range_model: None) -> None:
    labels = load_model(provider="cpu").manifest.labels
    number = {label.scientific_name: i for i, label in enumerate(labels)}
    berlin = choose_species(labels, latitude=52.5, longitude=13.4)
    york = choose_species(labels, latitude=40.7, longitude=-74.0)
    assert berlin is not None
    assert york is not None
    for name, here, there in (("Turdus merula", True, False), ("Cardinalis cardinalis", False, True)):
        assert (berlin.allowed[number[name]], york.allowed[number[name]]) == (here, there)
    assert "list for Europe" in berlin.reason
    assert "birdwatch model add birdnet" in berlin.reason


def test_elsewhere_by_week_and_for_other_models_a_range_model_is_needed(no_range_model: None) -> None:
    labels = load_model(provider="cpu").manifest.labels
    assert by_region(labels, -33.9, 151.2) is None
    assert by_region([Label("x", "Unknown species", "")], 52.5, 13.4) is None
    for question in ({"latitude": -33.9, "longitude": 151.2}, {"latitude": 52.5, "longitude": 13.4, "week": 20}):
        with pytest.raises(ModelError, match="birdwatch model add birdnet"):
            choose_species(labels, **question)  # type: ignore[arg-type]
