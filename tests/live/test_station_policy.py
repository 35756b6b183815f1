"""The policy of a station: its filter follows the season, and a refused reload changes nothing."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from tiny_model import write_range_model

from birdwatch.api import load_model
from birdwatch.config.schema import Settings
from birdwatch.errors import ConfigError
from birdwatch.live.station_policy import StationPolicy
from birdwatch.model.classifier import OnnxClassifier


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BIRDWATCH_MODELS", str(tmp_path))
    write_range_model(tmp_path / "ranges" / "tiny.onnx")
    return tmp_path


def test_a_station_follows_the_season(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> None:
    """The robin is there when the week is above 24, the tit below, whatever the place."""
    monkeypatch.setenv("BIRDWATCH_MODELS", str(tmp_path))
    write_range_model(tmp_path / "ranges" / "tiny.onnx", weights=[[0, 0], [0, 0], [-1, 1]], offsets=[24, -24])
    classifier = OnnxClassifier(tiny_model, provider="cpu")
    today = date(2026, 1, 10)
    place = Settings(lat=47.0, lon=9.0)
    station = StationPolicy(classifier, place, lambda: today)
    assert station.policy.species is not None
    assert station.policy.species.allowed.tolist() == [True, False, True]
    assert station.filter is not None
    assert "week 2 " in station.filter
    before = station.policy
    assert not station.follow_season()
    assert station.policy is before
    today = date(2026, 10, 1)
    assert station.follow_season()
    assert station.policy.species.allowed.tolist() == [False, True, True]
    station.apply(Settings(lat=47.0, lon=9.0, week=3))
    assert station.policy.species.allowed.tolist() == [True, False, True]
    today = date(2026, 1, 10)
    assert not station.follow_season()
    with pytest.raises(ConfigError):
        station.apply(Settings(lat=47.0))
    assert station.policy.species.allowed.tolist() == [True, False, True]
    station.apply(Settings())
    assert station.filter is None
    assert not station.follow_season()


def test_audio_that_is_not_live_gets_the_whole_year(store: Path, tiny_model: Path) -> None:
    station = StationPolicy(OnnxClassifier(tiny_model, provider="cpu"), Settings(lat=47.0, lon=9.0), None)
    assert station.filter is not None
    assert "all year" in station.filter


def test_without_a_range_model_a_station_has_the_list_for_its_region(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIRDWATCH_MODELS", str(tmp_path))
    station = StationPolicy(load_model(provider="cpu"), Settings(lat=47.0, lon=9.0), lambda: date(2026, 1, 10))
    assert station.filter is not None
    assert "list for Europe" in station.filter
    assert not station.follow_season()
