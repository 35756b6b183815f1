"""Reads a file of labels as rows of text: detects separator and header, and keeps line numbers for messages."""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from birdwatch.errors import ConfigError

__all__ = ["LONGEST_S", "Annotation", "LabelTable", "read_label_table"]

# Longer than any recording; a time beyond it is a typo or another unit.
LONGEST_S = 7 * 86400.0
FAULTS_SHOWN = 5
# What the columns of a table without a heading hold, for messages.
HEADLESS = {"0": "start", "1": "end"}
# As Audacity and scripts write seconds, the decimal comma included; also those that are refused later, below zero.
NUMBER = r"[-+]?[\d.,]+(?:[eE][-+]?\d+)?"


@dataclass(frozen=True, slots=True)
class Annotation:
    """A label in a recording, from one second to another; in all of it where both are None.

    recording is as the labels name it: a name, a file or a path. An empty label says that the recording, or the
    stretch, was looked at and holds nothing. also: further names of the same class that stand beside the label.
    """

    recording: str
    label: str
    start_s: float | None
    end_s: float | None
    also: tuple[str, ...] = ()


@dataclass(slots=True)
class LabelTable:
    """columns: the heading in lower case, empty where there is none. rows: line number and cells by column."""

    path: Path
    columns: tuple[str, ...]
    rows: list[tuple[int, dict[str, str]]]
    decimal_comma: bool = False
    faults: list[str] = field(default_factory=list)

    def fault(self, line: int, text: str) -> None:
        """Record a fault of a row."""
        self.faults.append(f"line {line}: {text}")

    def seconds(self, line: int, row: dict[str, str], column: str) -> float | None:
        """A cell as seconds, None where it is empty; what is no such number is a fault."""
        text = row[column].strip()
        if not text:
            return None
        name = column if self.columns else HEADLESS.get(column, column)
        try:
            value = float(text.replace(",", ".") if self.decimal_comma else text)
        except ValueError:
            self.fault(line, f"{name} is {text!r}, expected seconds")
            return None
        if not math.isfinite(value) or not 0 <= value <= LONGEST_S:
            self.fault(line, f"{name} is {text}, expected seconds from 0 to {LONGEST_S:.0f}")
            return None
        return value

    def span(self, line: int, row: dict[str, str], start: str, end: str) -> tuple[float, float] | None:
        """Start and end of a row, None where both are empty; one of them alone is a fault, as is an end before it."""
        faults = len(self.faults)
        first, last = self.seconds(line, row, start), self.seconds(line, row, end)
        if len(self.faults) > faults or (first is None and last is None):
            return None
        if first is None or last is None:
            self.fault(line, f"{start if first is None else end} is empty")
        elif last < first:
            self.fault(line, f"{end} {last:g} is before {start} {first:g}")
        else:
            return first, last
        return None

    def check(self) -> None:
        """Raise ConfigError with the faulty rows, if any."""
        if self.faults:
            more = f"; and {len(self.faults) - FAULTS_SHOWN} more rows" if len(self.faults) > FAULTS_SHOWN else ""
            raise ConfigError(
                f"the labels {self.path}: {'; '.join(self.faults[:FAULTS_SHOWN])}{more}; "
                "correct or remove these rows, so that nothing is compared that was not meant",
                path=self.path,
            )

    def refused(self, text: str) -> ConfigError:
        """An error about the table as a whole."""
        return ConfigError(f"the labels {self.path} {text}", path=self.path)


def read_label_table(path: Path) -> LabelTable:
    """Read a file of labels, separated by tabs, semicolons or commas. Raises ConfigError.

    A file whose first line begins with two numbers has no heading: Audacity's labels.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            # The whole file, since a pipe (`<(...)`) can be read only once.
            text = io.StringIO(stream.read(), newline="")
            first = text.readline()
            text.seek(0)
            separator = max("\t;,", key=first.count)
            # Raven and Audacity do not use quotes.
            quoting: Literal[0, 3] = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
            reader = csv.reader(text, delimiter=separator, quoting=quoting, strict=True)
            lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"the labels {path} cannot be read ({error}); expected text in UTF-8: save it again in that encoding",
            path=path,
        ) from error
    except (OSError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"the labels {path} cannot be read ({reason}); expected a csv or Raven selection tables", path=path
        ) from error
    if not lines or re.fullmatch(rf"\s*{NUMBER}\t{NUMBER}(\t.*)?\s*", first, re.DOTALL):
        return LabelTable(path, (), [(line, _by_number(cells)) for line, cells in lines], "," in first)
    heading = tuple(name.strip().rstrip("*").lower() for name in lines[0][1])
    table = LabelTable(path, heading, [], separator == ";")
    named = [name for name in heading if name]
    repeated = sorted({name for name in named if named.count(name) > 1})
    if repeated:
        raise table.refused(f"have the column {repeated[0]!r} twice; keep one of them")
    for line, cells in lines[1:]:
        if any(cell.strip() for cell in cells[len(heading) :]):
            table.fault(line, f"{len(cells)} cells under {len(heading)} headings")
        elif len(cells) < len(heading) and separator != "\t":
            table.fault(line, f"{len(cells)} cells for {len(heading)} headings")
        else:
            table.rows.append((line, dict(zip(heading, [*cells, *[""] * len(heading)], strict=False))))
    return table


def _by_number(cells: list[str]) -> dict[str, str]:
    return {str(number): cell for number, cell in enumerate(cells)}
