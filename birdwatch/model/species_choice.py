"""The species filter of a run or a station: from its place, week and list."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from birdwatch.errors import ConfigError
from birdwatch.model.manifest import Label
from birdwatch.model.range_model import RangeModel
from birdwatch.model.regions import by_region
from birdwatch.model.registry import find_range_model, range_models
from birdwatch.model.species_filter import SpeciesFilter, by_list, by_range, read_species

__all__ = ["choose_species"]


def choose_species(
    labels: Sequence[Label],
    *,
    translated: Sequence[Label] = (),
    latitude: float | None = None,
    longitude: float | None = None,
    week: int | None = None,
    species: Path | None = None,
) -> SpeciesFilter | None:
    """The filter for a model's labels, or None where nothing was asked for; with a place and a list, what both allow.

    week: 1..48, None for the whole year. translated: the labels in another language, which a list may use too. Raises
    ConfigError or ModelError where it cannot be made.
    """
    if (latitude is None) != (longitude is None):
        missing = "longitude (--lon)" if longitude is None else "latitude (--lat)"
        raise ConfigError(f"a place needs both coordinates, its {missing} is missing")
    if week is not None and latitude is None:
        raise ConfigError(f"week {week} (--week) filters nothing without a place; add --lat and --lon")
    found: SpeciesFilter | None = None
    if latitude is not None and longitude is not None:
        found = _by_place(labels, latitude, longitude, week)
    if species is not None:
        listed = by_list(labels, read_species(species), str(species), translated=translated)
        found = listed if found is None else found & listed
    if found is not None and not found.allowed.any():
        raise ConfigError(f"no species is left: {found}")
    return found


def _by_place(labels: Sequence[Label], latitude: float, longitude: float, week: int | None) -> SpeciesFilter:
    """By the range model; where none was added and the model is the built-in one, by its list for the region."""
    if not range_models() and week is None:
        listed = by_region(labels, latitude, longitude)
        if listed is not None:
            return listed
    model = RangeModel(find_range_model())
    probabilities = model.probabilities(latitude, longitude, week)
    return by_range(labels, probabilities, model.source(latitude, longitude, week))
