"""The competition's tables: the submission, and the wide form with one probability per class for each segment."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from birdwatch.audio.types import FloatArray
from birdwatch.errors import ConfigError, SinkError, reason_of
from birdwatch.tables.cells import original_text
from birdwatch.tables.label_columns import Found
from birdwatch.tables.label_table import Annotation, LabelTable
from birdwatch.tables.result import Result, Vocabulary

__all__ = [
    "SUBMISSION_COLUMNS",
    "Submission",
    "Template",
    "check_row_names",
    "is_submission",
    "kaggle_rows",
    "presence_labels",
    "read_submission",
    "read_template",
    "segment_labels",
    "submission_rows",
    "template_rows",
]

SUBMISSION_COLUMNS = ("row_id", "class_name", "presence")

Row = Sequence[object]
# The class columns and the row ids of a sample submission.
Template = tuple[list[str], list[str]]


def submission_rows(results: Iterable[Result], words: Vocabulary) -> Iterator[Row]:
    """`row_id,class_name,presence` for each class in label order: 1 where the maximum is at or over its limit."""
    codes = words.manifest.codes
    for result in results:
        for code, present in zip(codes, result.present.tolist(), strict=True):
            yield result.name, code, int(present)


def check_row_names(names: Iterable[str]) -> None:
    """Raise ConfigError where two recordings' names end alike: the competition's row ids know no folders."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.get(Path(name).name)
        if other is not None:
            raise ConfigError(
                f"{other} and {name} would share the row ids {Path(name).name}_5, ..., since the competition's table "
                "names no folders; rename one, run the folders one by one, or choose another --format"
            )
        seen[Path(name).name] = name


def kaggle_rows(results: Iterable[Result], words: Vocabulary) -> Iterator[Row]:
    """`<recording>_<end second>` and one probability per class, for each segment."""
    for result in results:
        for row_id, scores in _segments(result, words):
            yield row_id, *map(_text, scores.tolist())


@dataclass(frozen=True, slots=True)
class Submission:
    """A submission read back, in either form. rows: recording, start, end (None: all of it), class and score."""

    rows: list[tuple[str, float | None, float | None, str, float]]
    labels: list[str]
    lengths: Mapping[str, float]
    window_s: float | None


def is_submission(path: Path) -> bool:
    """Whether a file is a csv whose first column is `row_id`. Raises ConfigError where it cannot be read."""
    if path.suffix.lower() != ".csv" or path.is_dir():
        return False
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            return next(csv.reader(stream), [])[:1] == ["row_id"]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path} cannot be read ({reason}); name a table of `birdwatch run`", path=path) from error


def read_submission(path: Path) -> Submission:
    """Read `row_id,class_name,presence`, or one probability per class and segment. Raises ConfigError."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            columns = list(reader.fieldnames or ())
            table = [{**row, "row_id": original_text(row["row_id"])} for row in reader]
        if tuple(columns) == SUBMISSION_COLUMNS:
            rows = [
                (row["row_id"], None, None, original_text(row["class_name"]), float(row["presence"])) for row in table
            ]
            labels = list(dict.fromkeys(label for *_, label, _ in rows))
            return Submission(list(rows), labels, {row["row_id"]: 0.0 for row in table}, None)
        return _read_segments(table, columns[1:])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path} cannot be read ({error}); name a table of `birdwatch run`", path=path) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} is no submission ({error}); write it again with `birdwatch run`", path=path
        ) from error


def _read_segments(table: Sequence[Mapping[str, str]], labels: list[str]) -> Submission:
    ends = {row["row_id"]: (row["row_id"].rpartition("_")[0], float(row["row_id"].rpartition("_")[2])) for row in table}
    # The first segment of a recording ends one segment after its start.
    window_s = min((end for _, end in ends.values()), default=0.0)
    for row_id, (_, end) in ends.items():
        if not 0 < end < math.inf:
            raise ValueError(f"row_id {row_id!r} does not end in seconds")
    lengths: dict[str, float] = {}
    rows: list[tuple[str, float | None, float | None, str, float]] = []
    for row in table:
        recording, end = ends[row["row_id"]]
        lengths[recording] = max(lengths.get(recording, 0.0), end)
        rows += [(recording, end - window_s, end, label, float(row[label])) for label in labels]
    return Submission(rows, labels, lengths, window_s)


def read_template(path: Path) -> Template:
    """The class columns and the row ids of a sample submission, in its order. Raises SinkError."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream)
            header = next(reader, [])
            ids = [row[0] for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SinkError(f"template {path} cannot be read as CSV: {reason_of(error)}") from error
    if len(header) < 2 or header[0] != "row_id":
        raise SinkError(f"template {path} begins with {header[:2]}, expected row_id and one column per class")
    return header[1:], ids


def template_rows(results: Sequence[Result], words: Vocabulary, template: Template, absent: list[str]) -> Iterator[Row]:
    """Kaggle rows in a template's order of rows and columns; the row ids that no recording gave end up in `absent`.

    Columns that the model lacks are 0; so are rows that no recording gave, since the competition refuses a table
    that lacks them. Rows that the template does not list are left out. One recording at a time is in memory.
    """
    columns, ids = template
    index = {code: number for number, code in enumerate(words.manifest.codes)}
    order = [index.get(column) for column in columns]
    of_stem = {Path(result.name).name: result for result in results}
    stem, held = "", dict[str, FloatArray]()
    for row_id in ids:
        wanted = row_id.rpartition("_")[0]
        if wanted != stem:
            stem = wanted
            held = dict(_segments(of_stem[stem], words)) if stem in of_stem else {}
        if row_id not in held:
            absent.append(row_id)
            yield row_id, *("0" for _ in columns)
        else:
            scores = held[row_id].tolist()
            yield row_id, *("0" if number is None else _text(scores[number]) for number in order)


def _segments(result: Result, words: Vocabulary) -> Iterator[tuple[str, FloatArray]]:
    stem, number = Path(result.name).name, 0
    segment_s = words.segment_s or words.manifest.row_s
    for rows in result.segments():
        for scores in rows:
            number += 1
            yield f"{stem}_{number * segment_s:g}", scores


def _text(score: float) -> str:
    return f"{score:.7g}"


def presence_labels(table: LabelTable, recording: str | None) -> Found:
    """A submission as truth: one row per recording and class, presence 1 or 0."""
    for line, row in table.rows:
        if row["presence"].strip() not in ("0", "1"):
            table.fault(line, f"presence is {row['presence']!r}, expected 0 or 1")
        else:
            there = row["presence"].strip() == "1"
            yield line, Annotation(row["row_id"], row["class_name"] if there else "", None, None)


def segment_labels(table: LabelTable, recording: str | None) -> Found:
    """The competition's table as truth: `<recording>_<end second>` and 0 or 1 under each class."""
    ends: dict[int, tuple[str, float]] = {}
    for line, row in table.rows:
        stem, _, end = row["row_id"].rpartition("_")
        try:
            ends[line] = stem, float(end)
        except ValueError:
            table.fault(line, f"row_id is {row['row_id']!r}, expected <recording>_<end second>")
    length_s = min((end for _, end in ends.values()), default=0.0)
    for line, row in table.rows:
        cells = [row[column].strip() for column in table.columns if column != "row_id"]
        odd = [cell for cell in cells if cell not in ("0", "1", "0.0", "1.0")]
        if odd:
            table.fault(line, f"{odd[0]!r} is neither 0 nor 1")
        elif line in ends:
            stem, end_s = ends[line]
            labels = [name for name in table.columns if name != "row_id" and row[name].strip() in ("1", "1.0")]
            for name in labels or [""]:
                yield line, Annotation(stem, name, max(0.0, end_s - length_s), end_s)
