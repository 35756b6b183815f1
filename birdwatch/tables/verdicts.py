"""Review columns of a table of labels: a label with `validated = no` is not ground truth.

Review columns are recognised by name; yes and no by usual words in a few languages. Other values are faults.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from birdwatch.tables.label_table import LabelTable

__all__ = ["is_truth"]

YES = frozenset(
    {
        "yes", "y", "true", "t", "1", "x", "✓", "✔", "correct", "right", "ok", "confirmed", "verified",
        "validated", "valid", "accepted", "positive", "tp", "present", "ja", "wahr", "oui", "vrai", "si", "sí",
        "sì", "true positive",
    }
)  # fmt: skip
# These mean that a label is wrong in any column.
WRONG = frozenset(
    {
        "incorrect", "wrong", "rejected", "refuted", "fp", "false positive", "misidentified", "falsch",
    }
)  # fmt: skip
NO = WRONG | frozenset(
    {
        "no", "n", "false", "f", "0", "✗", "✘", "invalid", "negative", "absent", "nein", "non", "faux",
    }
)  # fmt: skip

# Names of columns in lower case, with blanks between their words.
UPHELD = frozenset(
    {
        "validated", "validation", "valid", "verified", "verification", "confirmed", "confirmation", "correct",
        "accepted", "verdict", "tp", "presence", "present", "truth", "true positive", "ground truth", "y true",
    }
)  # fmt: skip
DENIED = frozenset(
    {
        "incorrect", "wrong", "rejected", "fp", "absent", "deleted", "excluded", "invalid", "false positive",
    }
)  # fmt: skip
REVIEWED = frozenset({"reviewed", "checked"})
COUNTS = frozenset({"count", "abundance", "individuals", "number of individuals"})
# Words that are ignored around those.
FILLER = re.compile(r"\b(is|was|manual|manually|human|expert|status|yes|no|y|n)\b|[^\w ]")


def is_truth(table: LabelTable, line: int, row: Mapping[str, str]) -> bool:
    """Whether a row's label is ground truth; a verdict that is neither yes nor no is a fault."""
    upheld, denied, reviewed, counts, others = _columns_of(table.columns)
    truth = True
    for column in upheld:
        said = _said(row[column])
        if said is None:
            table.fault(line, f"{column} is {row[column].strip()!r}, expected yes or no")
        truth &= bool(said)
    for column in denied:
        said = _said(row[column]) if row[column].strip() else False
        if said is None:
            table.fault(line, f"{column} is {row[column].strip()!r}, expected yes or no")
        truth &= not said
    for column in reviewed:
        if not _said(row[column]):
            table.fault(line, f"{column} is {row[column].strip()!r}, so the label is not confirmed; review it")
    truth &= not any(re.fullmatch(r"0+([.,]0*)?", row[column].strip()) for column in counts)
    for column in others:
        if _plain(row[column]) in WRONG:
            table.fault(
                line, f"{column} is {row[column].strip()!r}, whose meaning for the label is not known; "
                "call the column validated"
            )  # fmt: skip
    return truth


def _said(cell: str) -> bool | None:
    text = re.sub(r"^([01])[.,]0+$", r"\1", _plain(cell))
    return True if text in YES else False if text in NO else None


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[_.\-]", " ", text.strip().casefold()).split()) if not _is_number(text) else text.strip()


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\s*\d+([.,]\d*)?\s*", text) is not None


@lru_cache(maxsize=16)
def _columns_of(columns: tuple[str, ...]) -> tuple[list[str], ...]:
    """The columns whose names are of each kind, and all others."""
    kinds = (UPHELD, DENIED, REVIEWED, COUNTS)
    found: tuple[list[str], ...] = ([], [], [], [], [])
    for column in columns:
        whole = _plain(column)
        name = " ".join(FILLER.sub(" ", whole).split())
        number = next((n for n, kind in enumerate(kinds) if name in kind or whole in kind), len(kinds))
        if column:
            found[number].append(column)
    return found
