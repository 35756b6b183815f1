"""A species range model: latitude, longitude and week in, the probability of each species out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from birdwatch.errors import ConfigError, ModelError
from birdwatch.model.classifier import open_network
from birdwatch.model.manifest_faults import shown
from birdwatch.model.species_filter import WEEKS

__all__ = ["RANGE_KEY", "RangeModel"]

# The key in the ONNX file's metadata: {"name": ..., "species": [scientific names in the order of the output]}.
RANGE_KEY = "birdwatch.range"


class RangeModel:
    """The range model in an ONNX file. Raises ModelError for another file."""

    def __init__(self, path: Path) -> None:
        self._session = open_network(path)
        text = self._session.get_modelmeta().custom_metadata_map.get(RANGE_KEY)
        if text is None:
            raise ModelError(f"{path} is not a range model (no {RANGE_KEY} in its metadata)")
        self.name, self.species = _described(text, self._session.get_outputs(), path)

    def probabilities(self, latitude: float, longitude: float, week: int | None) -> Mapping[str, float]:
        """The probability 0..1 of each species, by scientific name, in degrees north and east.

        week: 1..48, or None for the whole year. Raises ConfigError for an invalid place or week.
        """
        if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
            raise ConfigError(
                f"latitude {latitude:g} and longitude {longitude:g}: expected degrees, -90 to 90 and -180 to 180"
            )
        if week is not None and not 1 <= week <= WEEKS:
            raise ConfigError(f"week is {week}, expected 1 to {WEEKS} (four a month), or none for the whole year")
        place = np.array([[latitude, longitude, -1 if week is None else week]], np.float32)
        (scores,) = self._session.run(None, {self._session.get_inputs()[0].name: place})
        return dict(zip(self.species, scores[0].tolist(), strict=True))

    def source(self, latitude: float, longitude: float, week: int | None) -> str:
        """The place and season of a question, as text."""
        season = "all year" if week is None else f"week {week}"
        return f"the range model of {self.name} at {latitude:g}, {longitude:g}, {season}"


def _described(text: str, outputs: list[Any], path: Path) -> tuple[str, tuple[str, ...]]:
    """The name and the species in a range model's metadata. Raises ModelError for all that does not fit at once."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: its {RANGE_KEY} is not JSON ({error}); add the model again") from None
    name, species = (values.get("name"), values.get("species")) if isinstance(values, dict) else (None, None)
    faults = []
    if not isinstance(name, str) or not name.isprintable():
        faults.append(f"name is {shown(name)}, expected text")
    if not isinstance(species, list) or not all(isinstance(one, str) and one.isprintable() for one in species):
        faults.append(f"species are {shown(species)}, expected a list of names")
    elif len(outputs) != 1 or not _fits(outputs[0].shape, len(species)):
        faults.append(f"it has outputs {[one.shape for one in outputs]}, and {len(species)} species")
    if faults:
        raise ModelError(f"{path}: its {RANGE_KEY} does not fit: {'; '.join(faults)}; add the model again")
    return str(name), tuple(species or ())


def _fits(shape: list[Any], species: int) -> bool:
    """Whether an ONNX shape, whose free dimensions are names, admits `(n, species)`."""
    return len(shape) == 2 and (shape[1] == species or not isinstance(shape[1], int))
