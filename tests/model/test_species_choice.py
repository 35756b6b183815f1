"""A place, a season and a list become one filter, and the classifier scores 0 for all that it does not let through."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest
from tiny_model import LABELS, write_range_model

from birdwatch.config.schema import Settings
from birdwatch.errors import ConfigError, ModelError
from birdwatch.live.season_filter import StationSpecies
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.species_choice import choose_species, speak


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
        "2 of 3 species, by the range model of tiny at 47, -9, week 20 (1 that it does not know are let through)"
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
        choose_species(LABELS, latitude=47, longitude=9)


def test_filtered_species_score_zero(store: Path, tiny_model: Path) -> None:
    classifier = OnnxClassifier(tiny_model, provider="cpu")
    noise = np.random.default_rng(1).normal(0, 0.1, (2, 160000)).astype(np.float32)
    before = classifier.score(noise)
    assert (before > 0).all()
    classifier.species = choose_species(LABELS, latitude=-47, longitude=9)
    after = classifier.score(noise)
    assert after.dtype == np.float32
    np.testing.assert_array_equal(after, before * np.array([0, 1, 1], np.float32))


def test_names_in_another_language(tiny_model: Path, tmp_path: Path) -> None:
    classifier = OnnxClassifier(tiny_model, provider="cpu")
    names = tmp_path / "de.txt"
    names.write_text("Parus major_Kohlmeise\nErithacus rubecula_Rotkehlchen\n")
    assert speak(classifier, str(names)) == 1
    assert [label.common_name for label in classifier.manifest.labels] == [
        "Kohlmeise",
        "Rotkehlchen",
        "Eurasian Blackbird",
    ]
    names.write_text("Corvus corax_Kolkrabe\n")
    with pytest.raises(ConfigError, match="name none of the species"):
        speak(classifier, str(names))
    with pytest.raises(ConfigError, match="it came with none"):
        speak(classifier, "de")


def test_a_station_follows_the_season(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> None:
    """The robin is there when the week is above 24, the tit below, whatever the place."""
    monkeypatch.setenv("BIRDWATCH_MODELS", str(tmp_path))
    write_range_model(tmp_path / "ranges" / "tiny.onnx", weights=[[0, 0], [0, 0], [-1, 1]], offsets=[24, -24])
    classifier = OnnxClassifier(tiny_model, provider="cpu")
    today = date(2026, 1, 10)
    place = Settings(lat=47.0, lon=9.0)
    station = StationSpecies(classifier, place, lambda: today)
    assert classifier.species is not None
    assert classifier.species.allowed.tolist() == [True, False, True]
    assert station.text is not None
    assert "week 2 " in station.text
    before = classifier.species
    assert not station.follow_season()
    assert classifier.species is before
    today = date(2026, 10, 1)
    assert station.follow_season()
    assert classifier.species.allowed.tolist() == [False, True, True]
    station.apply(Settings(lat=47.0, lon=9.0, week=3))
    assert classifier.species.allowed.tolist() == [True, False, True]
    today = date(2026, 1, 10)
    assert not station.follow_season()
    with pytest.raises(ConfigError):
        station.apply(Settings(lat=47.0))
    assert classifier.species.allowed.tolist() == [True, False, True]
    station.apply(Settings())
    assert station.text is None
    assert not station.follow_season()


def test_audio_that_is_not_live_gets_the_whole_year(store: Path, tiny_model: Path) -> None:
    station = StationSpecies(OnnxClassifier(tiny_model, provider="cpu"), Settings(lat=47.0, lon=9.0), None)
    assert station.text is not None
    assert "all year" in station.text
