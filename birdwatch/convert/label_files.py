"""Label files of other projects' networks: a CSV with known columns, BirdNET's lines, or one name per line."""

from __future__ import annotations

import csv
from pathlib import Path

from birdwatch.errors import ConfigError, reason_of
from birdwatch.model.manifest import Label
from birdwatch.whole_file import read_text

__all__ = ["read_labels"]

# 6522 labels are 300 kB.
MAX_LABEL_BYTES = 20_000_000

# Column -> the headings under which label files carry it.
COLUMNS = {
    "code": ("code", "ebird_code", "ebird", "primary_label", "label"),
    "scientific_name": ("scientific_name", "scientific name", "species", "sci_name"),
    "common_name": ("common_name", "common name", "name"),
}


def read_labels(path: Path, classes: int) -> tuple[Label, ...]:
    """The labels of a network with `classes` outputs, in the order of the file.

    Read as a table (commas, semicolons or tabs) if its first line has a heading of COLUMNS; else a label per line,
    `Scientific_Common` or one name, with
    or without one heading line more than there are classes. Raises ConfigError.
    """
    try:
        lines = [line.strip() for line in read_text(path, limit=MAX_LABEL_BYTES).splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the labels {path} cannot be read as text: {reason_of(error)}") from error
    lines = [line for line in lines if line]
    # European spreadsheets separate by semicolons.
    separator = max(",;\t", key=lines[0].count) if lines else ","
    headings = [heading.strip().casefold() for heading in next(csv.reader(lines[:1], delimiter=separator), [])]
    picked = {
        field: next((headings.index(name) for name in names if name in headings), None)
        for field, names in COLUMNS.items()
    }
    if len(lines) == classes + 1 and any(column is not None for column in picked.values()):
        rows = list(csv.reader(lines[1:], delimiter=separator))
        labels = [_from_row(row, picked) for row in rows]
    elif len(lines) in (classes, classes + 1):
        labels = [_from_line(line) for line in lines[-classes:]]
    else:
        raise ConfigError(
            f"the network has {classes} classes, {path} has {len(lines)} lines; expected a line for each class, "
            "with or without a heading"
        )
    empty = [number for number, label in enumerate(labels, start=1) if not label.code]
    if empty:
        raise ConfigError(f"{path}: class {empty[0]} has neither a code nor a name")
    return tuple(labels)


def _from_row(row: list[str], picked: dict[str, int | None]) -> Label:
    values = {
        field: row[column].strip() if column is not None and column < len(row) else ""
        for field, column in picked.items()
    }
    code = values["code"] or values["scientific_name"] or values["common_name"]
    return Label(code.replace(" ", "_"), values["scientific_name"], values["common_name"])


def _from_line(line: str) -> Label:
    scientific, _, common = line.partition("_")
    # Two words, the first with a capital, are a scientific name; anything else is a code that we cannot explain.
    binomial = len(scientific.split()) == 2 and scientific[0].isupper()
    if common and not binomial:
        return Label(line.replace(" ", "_"))
    return Label(scientific.replace(" ", "_"), scientific if binomial or common else "", common)
