"""Names of species in other languages, from the label files that came with a model."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from birdwatch.hub.model_labels import ModelLabels
from birdwatch.hub.schema import species
from birdwatch.hub.store import Store
from birdwatch.model.label_names import locale_names
from birdwatch.model.registry import locale_folder

__all__ = ["label_names"]


def label_names(store: Store, model: ModelLabels, locale: str | None, *, every: bool) -> dict[str, Any]:
    """Common names by code in `locale` (None, or one that the model does not have: as the stations sent them).

    every: also of the model's labels that were never detected. Raises ConfigError, ModelError.
    """
    path = model.path
    known = [] if path is None else sorted(file.stem for file in locale_folder(path).glob("*.txt"))
    with store.reading() as connection:
        rows = {row.code: (row.scientific, row.name) for row in connection.execute(select(species))}
    if every:
        of_model = {label.code: (label.scientific_name, label.common_name) for label in model.read().values()}
        rows = {**of_model, **rows}
    in_locale = locale_names(locale, path) if path is not None and locale in known and locale is not None else {}
    names = {code: in_locale.get(scientific) or name or scientific or code for code, (scientific, name) in rows.items()}
    return {"locale": locale if locale in known else None, "locales": known, "names": names}
