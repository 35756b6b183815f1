"""The values that readers of tables return: rows, and the description of the run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from birdwatch.audio.timestamps import parse_time

__all__ = ["Columns", "DetectionRow", "DetectionTable", "row_of"]


@dataclass(frozen=True, slots=True)
class DetectionRow:
    """One row: a class in a window of a recording, or an event. start_utc_ns: ns since 1970, or None where unknown.

    windows: how many an event has; None where the row is a window.
    """

    recording: str
    path: str
    channel: int | None
    start_s: float
    end_s: float
    label: str
    common_name: str
    scientific_name: str
    score: float
    threshold: float
    start_utc_ns: int | None
    windows: int | None = None

    @property
    def name(self) -> str:
        """What people call the class."""
        return self.common_name or self.label


@dataclass(frozen=True, slots=True)
class Columns:
    """Rows of whole recordings as arrays `(n,)`, for sums over more rows than memory holds one by one.

    labels: the codes of the classes, of which `label` holds the numbers. recording: a number for each recording.
    start_utc_ns: ns since 1970, 0 where `dated` is false. row: one of the rows, by its number.
    """

    labels: Sequence[str]
    label: npt.NDArray[np.int64]
    recording: npt.NDArray[np.int64]
    score: npt.NDArray[np.float64]
    start_s: npt.NDArray[np.float64]
    start_utc_ns: npt.NDArray[np.int64]
    dated: npt.NDArray[np.bool_]
    row: Callable[[int], DetectionRow]

    @classmethod
    def of(cls, rows: Sequence[DetectionRow]) -> Columns:
        """Any rows, the whole of a table."""
        labels, label = _numbered(row.label for row in rows)
        starts = [row.start_utc_ns for row in rows]
        return cls(
            labels,
            label,
            _numbered(row.recording for row in rows)[1],
            np.array([row.score for row in rows], np.float64),
            np.array([row.start_s for row in rows], np.float64),
            np.array([start or 0 for start in starts], np.int64),
            np.array([start is not None for start in starts], bool),
            rows.__getitem__,
        )


def _numbered(names: Iterable[str]) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The different names, and the number of each name among them."""
    numbers: dict[str, int] = {}
    found = [numbers.setdefault(name, len(numbers)) for name in names]
    return list(numbers), np.array(found, np.int64)


@dataclass(frozen=True, slots=True)
class DetectionTable:
    """All rows of a table. run: what the table says about its run (only Parquet can), else empty.

    timezone: the zone that the table's local times are in, or None.
    """

    rows: list[DetectionRow]
    run: Mapping[str, Any]
    timezone: str | None = None

    def recordings(self) -> Iterable[Mapping[str, Any]]:
        """The recordings of the run, where the table names them."""
        recordings: list[Mapping[str, Any]] = self.run.get("recordings", [])
        return recordings

    @property
    def recording_count(self) -> int:
        """How many recordings were scored, or, where the table does not say that, have a row."""
        return len(self.run.get("recordings", ())) or len({row.recording for row in self.rows})

    def each_row(self) -> Iterable[DetectionRow]:
        """The rows one after the other."""
        return self.rows

    def columns(self, min_score: float | None = None) -> Iterator[Columns]:
        """The rows at or above a score, by default their threshold."""
        yield Columns.of([row for row in self.rows if row.score >= (row.threshold if min_score is None else min_score)])

    def files(self) -> Iterator[Path]:
        """The recordings' files, as far as the table names them."""
        yield from map(Path, dict.fromkeys(row.path for row in self.rows))


def row_of(values: Mapping[str, Any]) -> DetectionRow:
    """A row of the csv or of JSON lines. Raises ValueError, KeyError or TypeError for what is none."""
    channel, start = values["channel"], values["start"]
    start_s, end_s, score = float(values["start_s"]), float(values["end_s"]), float(values["score"])
    # This form of the comparison is also false for NaN.
    if not 0 <= start_s <= end_s < math.inf or not 0 <= score <= 1:
        raise ValueError(f"a row from {start_s:g} to {end_s:g} s with score {score:g}")
    return DetectionRow(
        values["recording"],
        values["path"],
        int(channel) if channel not in ("", None) else None,
        start_s,
        end_s,
        values["label"],
        values["common_name"] or "",
        values["scientific_name"] or "",
        score,
        float(values["threshold"]),
        parse_time(start, UTC) if start else None,
        int(values["windows"]) if values.get("windows") not in ("", None) else None,
    )
