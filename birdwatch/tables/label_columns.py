"""The columns of a table of labels that name the class, and a row's annotations."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import PureWindowsPath

from birdwatch.tables.label_table import Annotation, LabelTable
from birdwatch.tables.verdicts import is_truth

__all__ = [
    "COMMON",
    "LABEL",
    "SCIENTIFIC",
    "Found",
    "Row",
    "Span",
    "annotation",
    "first_column",
    "label_columns",
    "labelled",
    "named_recording",
]

Row = dict[str, str]
Span = tuple[float, float]
# Lines of the file with what they say; a row may hold several labels.
Found = Iterator[tuple[int, Annotation]]

# Labels for audio without a bird, in BirdCLEF, Kaleidoscope and BirdNET.
NOTHING = {"nocall", "no call", "noise", "none", "no bird", "empty"}
# Usual names of the columns with the class, in lower case.
LABEL = ("label", "primary_label", "species code", "ebird_code", "class_name", "species", "annotation", "tag")
SCIENTIFIC = ("scientific name", "scientific_name", "sci_name")
COMMON = ("common name", "common_name", "english_name")


def labelled(
    table: LabelTable,
    line: int,
    row: Row,
    recording: str,
    columns: Sequence[str],
    span: Span | None,
) -> Found:
    """A row's label, its other names beside it, and BirdCLEF's background species as labels of their own.

    Where another column says that the label is wrong, it is an empty one.
    """
    if not is_truth(table, line, row):
        # A person listened, and the class is absent.
        yield line, annotation(recording, "", span, ())
        return
    names = [row[column].strip() for column in columns if row[column].strip()]
    yield line, annotation(recording, names[0] if names else "", span, names[1:])
    if "secondary_labels" in row:
        for name in _listed(table, line, row["secondary_labels"]):
            yield line, annotation(recording, name, span, ())


def _listed(table: LabelTable, line: int, text: str) -> list[str]:
    """`['a', 'b']` of BirdCLEF, or names separated by blanks."""
    if not text.strip().startswith("["):
        return text.split()
    try:
        names = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        table.fault(line, f"secondary_labels is {text!r}, expected a list such as ['eurrob1']")
        return []
    return [name for name in names if name]


def annotation(recording: str, name: str, span: Span | None, also: Sequence[str]) -> Annotation:
    """An annotation; a name that says that nothing is there becomes an empty label."""
    nothing = not name or name.casefold() in NOTHING
    start_s, end_s = span or (None, None)
    return Annotation(recording, "" if nothing else name, start_s, end_s, () if nothing else tuple(also))


def label_columns(table: LabelTable) -> list[str]:
    """The columns that name the class, the code's first."""
    found = [column for column in (first_column(table, names) for names in (LABEL, SCIENTIFIC, COMMON)) if column]
    if not found:
        raise table.refused(
            f"have no column for a label, only {', '.join(filter(None, table.columns))}; expected one of "
            f"{', '.join((*LABEL, *SCIENTIFIC, *COMMON))}"
        )
    return found


def first_column(table: LabelTable, names: Sequence[str]) -> str | None:
    """The first of these columns that the table has."""
    return next((name for name in names if name in table.columns), None)


def named_recording(table: LabelTable, recording: str | None) -> str:
    """The recording that a table is about which names none: the one that its file is called after."""
    return recording if recording is not None else PureWindowsPath(table.path.name).stem
