"""Label names in other languages: common names by scientific name, from a user's file or one of the model."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from birdwatch.errors import ConfigError, reason_of
from birdwatch.model.manifest import Label, Manifest
from birdwatch.model.registry import locale_folder
from birdwatch.whole_file import read_text

__all__ = ["find_locale", "locale_names", "read_locale", "translate", "untranslated"]

# 6522 species are 300 kB.
MAX_NAMES_BYTES = 10_000_000


def find_locale(locale: str, model: Path) -> Path:
    """The file that `--locale` means: a path, or a language that came with the model file. Raises ConfigError."""
    if Path(locale).suffix or len(Path(locale).parts) > 1:
        return Path(locale)
    folder = locale_folder(model)
    there = {path.stem.casefold(): path for path in sorted(folder.glob("*.txt"))}
    if locale.casefold() in there:
        return there[locale.casefold()]
    known = f"it has {', '.join(there)}" if there else "it came with none"
    raise ConfigError(
        f"the model {model.stem} has no labels in {locale!r} ({known}); name a language that it has, or a text file "
        "with a line `Scientific name_Common name` for each species"
    )


def read_locale(path: Path) -> dict[str, str]:
    """Common names by scientific name from lines `Scientific name_Common name`, or a CSV with both as columns.

    The columns are called `scientific_name` and `common_name`. Raises ConfigError that names the first bad line.
    """
    try:
        lines = read_text(path, limit=MAX_NAMES_BYTES).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the labels {path} cannot be read as text: {reason_of(error)}") from error
    # R quotes the heading too; European spreadsheets separate by semicolons.
    separator = max(",;\t", key=lines[0].count) if lines else ","
    if lines and {"scientific_name", "common_name"} <= set(next(csv.reader(lines[:1], delimiter=separator), [])):
        rows = csv.DictReader(lines, delimiter=separator)
        return {row["scientific_name"]: row["common_name"] or "" for row in rows if row["scientific_name"]}
    names: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        scientific, mark, common = line.strip().partition("_")
        if mark and scientific and common:
            names[scientific] = common
        elif line.strip():
            raise ConfigError(f"{path}, line {number}: {line!r} is not `Scientific name_Common name`")
    if not names:
        raise ConfigError(f"the labels {path} name no species")
    return names


def locale_names(locale: str, model: Path) -> dict[str, str]:
    """Common names by scientific name in a language that came with the model, or from a file. Raises ConfigError."""
    return read_locale(find_locale(locale, model))


def translate(manifest: Manifest, names: Mapping[str, str]) -> Manifest:
    """The manifest with common names out of `names`; labels that are not in `names` keep theirs.

    Raises ConfigError where `names` holds none of the manifest's species.
    """
    labels = tuple(
        Label(label.code, label.scientific_name, names.get(label.scientific_name) or label.common_name)
        for label in manifest.labels
    )
    if untranslated(manifest, names) == len(labels):
        raise ConfigError(f"the label names hold none of the species of {manifest.name}; choose another locale")
    return replace(manifest, labels=labels)


def untranslated(manifest: Manifest, names: Mapping[str, str]) -> int:
    """How many labels have no entry in `names`."""
    return sum(label.scientific_name not in names for label in manifest.labels)
