"""Predictions and labels brought to the same units: whole recordings, or segments of them, by species."""

from __future__ import annotations

import csv
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from birdwatch.errors import ConfigError
from birdwatch.evaluation.annotations import Annotation
from birdwatch.tables.reading import read_detections

__all__ = ["Predictions", "Units", "compare", "read_predictions"]

# An annotation counts in a segment with which it shares this much, or half of itself where it is shorter.
SHARED_S = 0.25
PredictedRow = tuple[str, float | None, float | None, str, float, bool]


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a table says. rows: recording, start, end, label, score, and whether that is a claim of presence.

    Starts and ends are seconds, None for a whole recording. lengths: recording -> seconds, as far as it is known.
    names: what a label may be called -> the label. keys: what a recording may be called -> the recording.
    """

    rows: list[PredictedRow]
    lengths: Mapping[str, float]
    names: Mapping[str, str]
    keys: Mapping[str, str]
    window_s: float | None


@dataclass(frozen=True, slots=True)
class Units:
    """Arrays `(units, labels)`, and what could not be compared."""

    labels: list[str]
    truth: npt.NDArray[np.bool_]
    scores: npt.NDArray[np.float64]
    claimed: npt.NDArray[np.bool_]
    recordings: int
    unlabelled: int
    unknown: list[str]


def read_predictions(path: Path, threshold: float | None) -> Predictions:
    """A table of detections, a submission, or kaggle's wide form. threshold: presence from here on, else the table's.

    Raises ConfigError for another table.
    """
    if path.suffix.lower() == ".csv":
        try:
            with path.open(newline="", encoding="utf-8-sig") as stream:
                reader = csv.DictReader(stream)
                columns = list(reader.fieldnames or ())
                if columns[:1] == ["row_id"]:
                    return _submission(list(reader), columns, 0.5 if threshold is None else threshold)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} cannot be read ({error}); name a table of `birdwatch run`") from error
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path} is no submission ({error}); write it again with `birdwatch run`") from error
    table = read_detections(path)
    names: dict[str, str] = {}
    for code, scientific, common in [
        *table.run.get("labels", ()),
        *((row.label, row.scientific_name, row.common_name) for row in table.rows),
    ]:
        for name in (code, scientific, common):
            names.setdefault(name.lower(), code)
    paths = {row.recording: row.path for row in table.rows}
    lengths: dict[str, float] = defaultdict(float)
    for row in table.rows:
        lengths[row.recording] = max(lengths[row.recording], row.end_s)
    for recording in table.run.get("recordings", ()):
        paths[recording["name"]] = recording["path"]
        lengths[recording["name"]] = recording["duration_s"]
    rows: list[PredictedRow] = [
        (
            r.recording,
            r.start_s,
            r.end_s,
            r.label,
            r.score,
            r.score >= (r.threshold if threshold is None else threshold),
        )
        for r in table.rows
    ]
    window_s = table.run.get("window_s") or max((row.end_s - row.start_s for row in table.rows), default=None)
    return Predictions(rows, lengths, names, _keys(paths), window_s)


def _submission(table: Sequence[Mapping[str, str]], columns: Sequence[str], threshold: float) -> Predictions:
    rows: list[PredictedRow] = []
    lengths: dict[str, float] = defaultdict(float)
    if columns == ["row_id", "class_name", "presence"]:
        for row in table:
            present = float(row["presence"])
            rows.append((row["row_id"], None, None, row["class_name"], present, present >= threshold))
            lengths.setdefault(row["row_id"], 0.0)
        labels, window_s = {row["class_name"] for row in table}, None
    else:
        ends = {
            row["row_id"]: (row["row_id"].rpartition("_")[0], float(row["row_id"].rpartition("_")[2])) for row in table
        }
        # The first segment of a recording ends one segment after its start.
        window_s = min((end for _, end in ends.values()), default=0.0)
        for row in table:
            recording, end = ends[row["row_id"]]
            lengths[recording] = max(lengths[recording], end)
            for label in columns[1:]:
                score = float(row[label])
                rows.append((recording, end - window_s, end, label, score, score >= threshold))
        labels = set(columns[1:])
    keys = _keys({name: name for name in lengths})
    return Predictions(rows, lengths, {label.lower(): label for label in labels}, keys, window_s)


def _keys(paths: Mapping[str, str]) -> dict[str, str]:
    """Every way in which labels may call a recording that only one recording can mean."""
    ways = [(way, name) for name, path in paths.items() for way in {name, path, *_shorter(name), *_shorter(path)}]
    count = Counter(way for way, _ in ways)
    return {way: name for way, name in ways if count[way] == 1 or way == name}


def _shorter(name: str) -> list[str]:
    path = PurePosixPath(name.replace("\\", "/"))
    return [path.name, path.stem, path.with_suffix("").as_posix()] if path.name else []


def compare(predictions: Predictions, truth: Iterable[Annotation], *, segment_s: float | None = None) -> Units:
    """Bring both to the same units: recordings where the labels or the table have no times, else segments.

    Only recordings that the labels name are compared; the others are counted in `unlabelled`. Labels' recordings that
    the table does not hold are in `unknown`. A label that the table never names is a species of its own, always missed.
    """
    by_recording: dict[str, list[Annotation]] = defaultdict(list)
    unknown: set[str] = set()
    annotations = list(truth)
    for item in annotations:
        ways = [item.recording, *_shorter(item.recording)]
        name = next((predictions.keys[way] for way in ways if way in predictions.keys), None)
        if name is None:
            unknown.add(item.recording)
        else:
            by_recording[name].append(item)
    if not by_recording:
        raise ConfigError(
            f"none of the {len(unknown)} labelled recordings is in the table; labels name {sorted(unknown)[:2]}, "
            f"the table {sorted(predictions.lengths)[:2]}"
        )
    timed = all(item.start_s is not None for item in annotations if item.label) and all(
        row[1] is not None for row in predictions.rows
    )
    length_s = (segment_s or predictions.window_s) if timed else None
    if timed and not length_s:
        raise ConfigError("the table is empty, so the length of a segment is unknown; name it with --segment")
    first: dict[str, int] = {}
    total = 0
    for name, items in sorted(by_recording.items()):
        first[name] = total
        until_s = max(predictions.lengths.get(name, 0.0), *(item.end_s or 0.0 for item in items))
        total += 1 if length_s is None else max(1, math.ceil(until_s / length_s - 1e-9))
    labels = sorted(
        {row[3] for row in predictions.rows if row[0] in first}
        | {
            predictions.names.get(item.label.lower(), item.label)
            for items in by_recording.values()
            for item in items
            if item.label
        }
    )
    index = {label: number for number, label in enumerate(labels)}
    size = (total, len(labels))
    true, scores, claimed = np.zeros(size, bool), np.zeros(size), np.zeros(size, bool)
    for name, items in by_recording.items():
        for item in filter(lambda item: item.label, items):
            column = index[predictions.names.get(item.label.lower(), item.label)]
            true[[first[name] + unit for unit in _shared(item.start_s, item.end_s, length_s, SHARED_S)], column] = True
    for name, start_s, end_s, label, score, present in predictions.rows:
        if name in first:
            # As in kaggle's form: a window counts in the segments in which at least half of it lies.
            units = [first[name] + unit for unit in _shared(start_s, end_s, length_s, math.inf)]
            units = [unit for unit in units if unit < total]
            scores[units, index[label]] = np.maximum(scores[units, index[label]], score)
            claimed[units, index[label]] |= present
    return Units(labels, true, scores, claimed, len(first), len(set(predictions.lengths) - set(first)), sorted(unknown))


def _shared(start_s: float | None, end_s: float | None, length_s: float | None, enough_s: float) -> list[int]:
    """The segments that share `enough_s`, or half of it where that is less, with a stretch of a recording."""
    if length_s is None or start_s is None or end_s is None:
        return [0]
    least = min(enough_s, (end_s - start_s) / 2) - 1e-6
    units = range(int(start_s // length_s), math.ceil(end_s / length_s))
    return [u for u in units if min(end_s, (u + 1) * length_s) - max(start_s, u * length_s) >= least]
