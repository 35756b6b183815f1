"""The built-in model's species by region, from BirdNET's range model.

    python train/recipes/regions.py taxonomy.csv regions.csv

A species occurs in a region where the range model gives it at least its threshold at any point of a 2.5 degree grid, in
the whole year.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import IO, cast

import numpy as np

from birdwatch.atomic_write import written_beside
from birdwatch.model.range_model import RangeModel
from birdwatch.model.regions import REGIONS, Region
from birdwatch.model.registry import find_range_model
from birdwatch.model.species_filter import RANGE_THRESHOLD

STEP_DEGREES = 2.5


def main() -> None:
    """Write the table that is named last."""
    taxonomy, out = map(Path, sys.argv[1:3])
    model = RangeModel(find_range_model())
    found = {region.name: species_of(model, region) for region in REGIONS}
    with taxonomy.open(encoding="utf-8", newline="") as stream:
        names = [row["scientific_name"] for row in csv.DictReader(stream)]
    with written_beside(out) as stream:
        writer = csv.writer(cast("IO[str]", stream), lineterminator="\n")
        writer.writerow(["scientific_name", *found])
        writer.writerows([name, *(int(name in species) for species in found.values())] for name in names)
    print(", ".join(f"{name} {len(species & set(names))}" for name, species in found.items()), f"of {len(names)}")


def species_of(model: RangeModel, region: Region) -> set[str]:
    """The scientific names that the range model gives anywhere in a region."""
    found: set[str] = set()
    for latitude in np.arange(region.south, region.north + 0.1, STEP_DEGREES):
        for longitude in np.arange(region.west, region.east + 0.1, STEP_DEGREES):
            probabilities = model.probabilities(float(latitude), float(longitude), None)
            found |= {name for name, value in probabilities.items() if value >= RANGE_THRESHOLD}
    return found


if __name__ == "__main__":
    main()
