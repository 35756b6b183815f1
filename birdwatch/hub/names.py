"""Names of species in other languages, by the label files that came with a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import select

from birdwatch.hub.schema import species
from birdwatch.hub.store import Store
from birdwatch.model.label_names import locale_names
from birdwatch.model.registry import locale_folder

__all__ = ["label_names"]


def label_names(store: Store, model: Path | None, locale: str | None) -> dict[str, Any]:
    """Common names by code in `locale` (None: as the stations sent them). Raises ConfigError for an unknown one."""
    known = [] if model is None else sorted(path.stem for path in locale_folder(model).glob("*.txt"))
    with store.reading() as connection:
        rows = list(connection.execute(select(species)))
    names = {row.code: row.name for row in rows}
    if locale is not None and (locale in known or model is None or not known):
        in_locale = locale_names(locale, model) if model is not None and locale in known else {}
        names = {row.code: in_locale.get(row.scientific) or row.name for row in rows}
    return {"locale": locale if locale in known else None, "locales": known, "names": names}
