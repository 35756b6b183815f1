"""Somebody's labels: a csv of annotations, Raven's selection tables, or one label a recording."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from birdwatch.errors import ConfigError

__all__ = ["Annotation", "read_truth"]

# What people call these columns, in lower case; Raven's, BirdCLEF's, Audacity-like and plain ones.
RECORDING = ("recording", "filename", "file", "begin file", "begin path", "path", "row_id", "in file")
LABEL = ("label", "primary_label", "species code", "class_name", "species", "annotation", "common name", "common_name")
START = ("start_s", "file offset (s)", "begin time (s)", "start", "start_time", "begin", "onset", "onset_s", "offset")
END = ("end_s", "end time (s)", "end", "end_time", "offset_s", "finish")


@dataclass(frozen=True, slots=True)
class Annotation:
    """A label in a recording, from one second to another; in all of it where both are None.

    recording is as the labels name it: a name, a file or a path. An empty label says that somebody looked at it.
    """

    recording: str
    label: str
    start_s: float | None
    end_s: float | None


def read_truth(path: Path) -> list[Annotation]:
    """The annotations of a csv or tab-separated file, or of all Raven tables in a folder. Raises ConfigError."""
    if path.is_dir():
        tables = sorted(path.rglob("*.txt"))
        if not tables:
            raise ConfigError(f"{path} holds no Raven selection table; expected .txt files in it")
        found: list[Annotation] = []
        for table in tables:
            # A table without a selection says that nothing was there, which is as good as a label.
            name = _stem(table, path)
            found += _read(table, name) or [Annotation(name, "", None, None)]
        return found
    return _read(path, None)


def _stem(table: Path, folder: Path) -> str:
    """The recording that a table in a folder is about: `may/a.Table.1.selections.txt` -> `may/a`."""
    name = table.relative_to(folder).as_posix()
    for end in (".txt", ".selections", ".Table.1"):
        name = name.removesuffix(end)
    return name


def _read(path: Path, recording: str | None) -> list[Annotation]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            first = stream.readline()
            stream.seek(0)
            reader = csv.DictReader(stream, delimiter="\t" if "\t" in first else ",")
            columns = {name.strip().lower(): name for name in reader.fieldnames or () if name}
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(
            f"the labels {path} cannot be read ({error}); expected a csv or Raven selection tables"
        ) from (error)
    name, label = _column(columns, RECORDING), _column(columns, LABEL)
    start, end = _column(columns, START), _column(columns, END)
    if label is None or (name is None and recording is None):
        missing = "a label" if label is None else "the recording"
        raise ConfigError(
            f"the labels {path} have no column for {missing}, only {', '.join(columns) or 'nothing'}; "
            f"expected one of {', '.join(LABEL if label is None else RECORDING)}"
        )
    found = []
    for number, row in enumerate(rows, start=2):
        what = (row[label] or "").strip()
        whose = str(recording if name is None else row[name])
        if not what:
            found.append(Annotation(whose, "", None, None))
            continue
        try:
            times = (_seconds(row, start), _seconds(row, end))
        except ValueError as error:
            raise ConfigError(f"the labels {path}, line {number}: {error}; expected seconds") from None
        # In a table of several files Raven's end is on the clock of them all, the offset on the file's own.
        if start is not None and start.strip().lower() == "file offset (s)" and "begin time (s)" in columns:
            begin = _seconds(row, columns["begin time (s)"])
            if times[0] is not None and times[1] is not None and begin is not None:
                times = (times[0], times[0] + times[1] - begin)
        found.append(Annotation(whose, what, *(times if None not in times else (None, None))))
    return found


def _column(columns: Mapping[str, str], names: Sequence[str]) -> str | None:
    return next((columns[name] for name in names if name in columns), None)


def _seconds(row: Mapping[str, str], column: str | None) -> float | None:
    return None if column is None or not (row[column] or "").strip() else float(row[column])
