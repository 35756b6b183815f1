"""Writes and reads detections or events as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from birdwatch.tables.detections import detection_columns, detection_rows
from birdwatch.tables.result import Result, Vocabulary
from birdwatch.tables.rows import DetectionTable, row_of

__all__ = ["json_lines", "read_json_lines"]

NUMBERS = {"start_s", "end_s", "score", "threshold", "mean_score"}


def json_lines(results: Iterable[Result], words: Vocabulary) -> Iterator[str]:
    """One JSON object per row, its keys the columns of the csv; null where the csv is empty."""
    columns = detection_columns(words)
    for row in detection_rows(results, words):
        values = {
            key: float(str(value)) if key in NUMBERS else (None if value == "" else value)
            for key, value in zip(columns, row, strict=True)
        }
        yield json.dumps(values, ensure_ascii=False)


def read_json_lines(path: Path) -> DetectionTable:
    """Read them back. Raises OSError, ValueError, KeyError or TypeError for what are none."""
    with path.open(encoding="utf-8-sig") as stream:
        values = [json.loads(line) for line in stream if line.strip()]
    zones = {row["timezone"] for row in values if row.get("timezone")}
    return DetectionTable([row_of(row) for row in values], {}, next(iter(zones)) if len(zones) == 1 else None)
