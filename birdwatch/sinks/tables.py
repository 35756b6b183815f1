"""Tables of results: the submission and the competition's wide form."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from birdwatch.aggregate import segment_scores
from birdwatch.audio import FloatArray, RecordingScores
from birdwatch.errors import SinkError
from birdwatch.model import Manifest

__all__ = ["SUBMISSION_COLUMNS", "kaggle_rows", "read_template", "submission_rows", "template_rows", "write_csv"]

SUBMISSION_COLUMNS = ("row_id", "class_name", "presence")

Row = Sequence[str]


def write_csv(stream: IO[str], header: Row, rows: Iterable[Row]) -> None:
    """Write a header and rows: commas, quotes only where needed, one newline a row."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)


def submission_rows(recording: RecordingScores, manifest: Manifest, limits: FloatArray) -> Iterator[Row]:
    """`row_id,class_name,presence` for each class in label order: 1 where the maximum is at or over its limit."""
    for code, score, limit in zip(manifest.codes, recording.scores, limits, strict=True):
        yield recording.recording, code, "1" if score >= limit else "0"


def kaggle_rows(recording: RecordingScores, manifest: Manifest) -> Iterator[Row]:
    """`<recording>_<end second>` and one probability a class, for each segment as long as the model's window."""
    segments = segment_scores(recording.windows, segment_frames=manifest.window_frames, classes=len(manifest.labels))
    stem = Path(recording.recording).name
    for number, scores in enumerate(segments, start=1):
        yield f"{stem}_{number * manifest.window_s:g}", *(f"{score:.7g}" for score in scores)


def read_template(path: Path) -> tuple[list[str], list[str]]:
    """The class columns and the row ids of a sample submission, in its order. Raises SinkError."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream)
            header = next(reader, [])
            ids = [row[0] for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SinkError(f"template {path} cannot be read as CSV: {error}") from error
    if len(header) < 2 or header[0] != "row_id":
        raise SinkError(f"template {path} begins with {header[:2]}, expected row_id and one column a class")
    return header[1:], ids


def template_rows(
    rows: Iterable[Row], manifest: Manifest, template: tuple[list[str], list[str]]
) -> tuple[list[Row], list[str]]:
    """Kaggle rows in a template's order of rows and columns, and the row ids that no recording gave.

    Columns that the model lacks are 0; so are rows that no recording gave, since the competition refuses a table
    that lacks them. Rows that the template does not list are left out.
    """
    columns, ids = template
    found = {row[0]: dict(zip(manifest.codes, row[1:], strict=True)) for row in rows}
    table: list[Row] = [(row_id, *(found.get(row_id, {}).get(column, "0") for column in columns)) for row_id in ids]
    return table, [row_id for row_id in ids if row_id not in found]
