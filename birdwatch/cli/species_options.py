"""The options that choose species and their names; `run` and `embed` share them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Any

import click

from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.species_choice import choose_species, speak
from birdwatch.model.species_filter import SpeciesFilter

__all__ = ["SpeciesChoice", "species_options"]

OPTIONS: tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...] = (
    click.option("--lat", "latitude", type=float, help="Latitude: with --lon, only species that live there."),
    click.option("--lon", "longitude", type=float, help="Longitude, degrees east."),
    click.option("--week", type=int, help="Of the year, 1 to 48 (four a month). [default: the whole year]"),
    click.option(
        "--species", type=click.Path(path_type=Path), help="A list, one species a line: let through only these."
    ),
    click.option("--locale", help="Names in this language (that came with the model), or from this file."),
)


@dataclass(frozen=True, slots=True)
class SpeciesChoice:
    """What the options said; None where they were left out."""

    latitude: float | None
    longitude: float | None
    week: int | None
    species: Path | None
    locale: str | None

    def apply(self, classifier: OnnxClassifier) -> SpeciesFilter | None:
        """Make `classifier` silent about all other species and let it speak the locale; say both on stderr."""
        if self.locale is not None:
            unchanged = speak(classifier, self.locale)
            if unchanged:
                click.echo(f"birdwatch: {unchanged} species have no name in {self.locale}; they keep theirs", err=True)
        found = choose_species(
            classifier.own_labels,
            translated=classifier.manifest.labels,
            latitude=self.latitude,
            longitude=self.longitude,
            week=self.week,
            species=self.species,
        )
        if found is not None:
            click.echo(f"species filter: {found}", err=True)
            classifier.species = found
        return found


def species_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give `function` the options, all in one argument: `choice`, a SpeciesChoice."""

    @wraps(function)
    def called(*args: Any, **values: Any) -> Any:
        chosen = SpeciesChoice(**{field.name: values.pop(field.name) for field in fields(SpeciesChoice)})
        return function(*args, choice=chosen, **values)

    decorated: Callable[..., Any] = called
    for option in reversed(OPTIONS):
        decorated = option(decorated)
    return decorated
