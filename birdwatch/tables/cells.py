"""Escapes text in tables: formulas of spreadsheets, and line ends and tabs in tables without quotes."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import IO

__all__ = ["original_text", "plain_cells", "spreadsheet_cells", "write_csv"]

# A cell that begins so is a formula to Excel, LibreOffice and Google Sheets (OWASP, CSV Injection).
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def spreadsheet_cells(cells: Iterable[object]) -> list[object]:
    """A row of csv in which text that begins like a formula has an apostrophe before it; numbers stay as they are."""
    return [f"'{cell}" if isinstance(cell, str) and _is_formula(cell) else cell for cell in cells]


def write_csv(stream: IO[str], rows: Iterable[Iterable[object]], *, verbatim: bool = False) -> None:
    """Write rows of csv, of which text that begins like a formula gets an apostrophe unless `verbatim`.

    A row with a carriage return is quoted wholly: before Python 3.13 `csv` leaves that one bare, and every reader takes
    it for the end of the line.
    """
    plain = csv.writer(stream, lineterminator="\n")
    quoted = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        cells = list(row) if verbatim else spreadsheet_cells(row)
        breaks = any(isinstance(cell, str) and "\r" in cell for cell in cells)
        (quoted if breaks else plain).writerow(cells)


def original_text(cell: str) -> str:
    """What `spreadsheet_cells` was given."""
    return cell[1:] if cell.startswith("'") and _is_formula(cell) else cell


def _is_formula(cell: str) -> bool:
    # Behind apostrophes too, so that what is written can be told from what was there.
    return cell.lstrip("'").startswith(FORMULA)


def plain_cells(cells: Iterable[object]) -> list[str]:
    """A row for Raven and Audacity, which know no quotes: tabs and ends of lines become blanks."""
    return [" ".join(str(cell).splitlines()).replace("\t", " ") for cell in cells]
