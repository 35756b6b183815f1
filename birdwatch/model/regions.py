"""The built-in model's species by continent: a coarse filter for users without a range model.

regions.csv lies beside the built-in model: `scientific_name`, and a column of 0 and 1 for each region of `REGIONS`. It
is made by train/recipes/regions.py.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from birdwatch.model.builtin import built_in_model
from birdwatch.model.manifest import Label
from birdwatch.model.species_filter import SpeciesFilter

__all__ = ["REGIONS", "Region", "by_region", "region_of", "regions_file"]


@dataclass(frozen=True, slots=True)
class Region:
    """A box of latitudes and longitudes, in degrees north and east."""

    name: str
    south: float
    north: float
    west: float
    east: float

    def __contains__(self, place: tuple[float, float]) -> bool:
        return self.south <= place[0] <= self.north and self.west <= place[1] <= self.east


REGIONS = (
    Region("europe", 34.0, 72.0, -25.0, 45.0),
    Region("north_america", 14.0, 75.0, -170.0, -50.0),
)


def regions_file() -> Path:
    """The table beside the built-in model."""
    return built_in_model().with_name("regions.csv")


def region_of(latitude: float, longitude: float) -> Region | None:
    """The region that a place lies in, or None."""
    return next((region for region in REGIONS if (latitude, longitude) in region), None)


def by_region(labels: Sequence[Label], latitude: float, longitude: float) -> SpeciesFilter | None:
    """The species of the place's region; None where there is no list for the place or for these labels."""
    region = region_of(latitude, longitude)
    if region is None:
        return None
    with regions_file().open(encoding="utf-8", newline="") as stream:
        occurs = {row["scientific_name"]: row[region.name] == "1" for row in csv.DictReader(stream)}
    if not all(label.scientific_name in occurs for label in labels):
        return None
    allowed = np.array([occurs[label.scientific_name] for label in labels], np.bool_)
    name = region.name.replace("_", " ").title()
    return SpeciesFilter(
        allowed, f"the list for {name}, all year; `birdwatch model add birdnet` brings a range model for place and week"
    )
