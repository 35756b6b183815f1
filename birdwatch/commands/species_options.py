"""The options that choose species and their names; `run` and `embed` share them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from birdwatch.inference import OnnxClassifier
from birdwatch.selection import choose_species, speak
from birdwatch.species import SpeciesFilter

__all__ = ["apply_species", "species_options"]

OPTIONS: tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...] = (
    click.option("--lat", "latitude", type=float, help="Latitude: with --lon, only species that live there."),
    click.option("--lon", "longitude", type=float, help="Longitude, degrees east."),
    click.option("--week", type=int, help="Of the year, 1 to 48 (four a month). [default: the whole year]"),
    click.option(
        "--species", type=click.Path(path_type=Path), help="A list, one species a line: let through only these."
    ),
    click.option("--locale", help="Names in this language (that came with the model), or from this file."),
)


def species_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give `function` the options latitude, longitude, week, species and locale."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function


def apply_species(
    classifier: OnnxClassifier,
    *,
    latitude: float | None,
    longitude: float | None,
    week: int | None,
    species: Path | None,
    locale: str | None,
) -> SpeciesFilter | None:
    """Make `classifier` silent about all other species and let it speak `locale`; says both on stderr."""
    if locale is not None:
        unchanged = speak(classifier, locale)
        if unchanged:
            click.echo(f"birdwatch: {unchanged} species have no name in {locale}; they keep theirs", err=True)
    labels = classifier.manifest.labels
    found = choose_species(labels, latitude=latitude, longitude=longitude, week=week, species=species)
    if found is not None:
        click.echo(f"species filter: {found}", err=True)
        classifier.species = found
    return found
