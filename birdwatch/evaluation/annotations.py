"""Reads ground truth, annotations by people, from a file or a folder in any of the usual formats."""

from __future__ import annotations

import re
from pathlib import Path

from birdwatch.errors import ConfigError
from birdwatch.evaluation.dialects import read_dialect
from birdwatch.tables.label_table import Annotation, read_label_table

__all__ = ["Annotation", "read_truth", "truth_files"]

# What programs add to a recording's name: Raven, BirdNET-Analyzer, birdwatch.
ENDINGS = re.compile(
    r"((\.Table\.\d+)?\.selections|\.Table\.\d+|\.BirdNET\.(selection\.table|results(\.r)?)|\.labels)?\.(txt|csv|tsv)$",
    re.IGNORECASE,
)


def truth_files(path: Path) -> list[Path]:
    """The files that `read_truth` reads."""
    if not path.is_dir():
        return [path]
    return sorted(item for item in path.rglob("*") if item.suffix.lower() in (".txt", ".csv", ".tsv"))


def read_truth(path: Path) -> list[Annotation]:
    """The annotations of a file, or of all tables in a folder, one per recording. Raises ConfigError.

    A file may be Raven's selection table, Audacity's labels, Kaleidoscope's reviewed table, a csv of BirdNET-Analyzer
    or crowsetta, a submission, or any csv whose columns have usual names. Rows that are not understood are named by
    their lines and refused.
    """
    if not path.is_dir():
        return read_dialect(read_label_table(path), _stem(Path(path.name)))
    tables = truth_files(path)
    if not tables:
        raise ConfigError(f"{path} holds no Raven selection table; expected .txt or .csv files in it", path=path)
    found: list[Annotation] = []
    for item in tables:
        # A table without a row says that nothing was there, which is as good as a label.
        name = _stem(item.relative_to(path))
        table = read_label_table(item)
        rows = read_dialect(table, name) if table.columns or table.rows else []
        found += rows or [Annotation(name, "", None, None)]
    return found


def _stem(relative: Path) -> str:
    """The recording that a table is about: `may/a.Table.1.selections.txt` -> `may/a`."""
    return ENDINGS.sub("", relative.as_posix())
