"""Reads predictions from a table of `birdwatch run` in any format, with the names that labels may use."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from birdwatch.evaluation.class_names import ClassNames
from birdwatch.tables.reading import read_detections
from birdwatch.tables.submission import is_submission, read_submission

__all__ = ["PredictedRow", "Predictions", "read_predictions", "recording_keys", "ways_to_call"]


class PredictedRow(NamedTuple):
    """One score. Starts and ends are seconds, None for a whole recording; present: whether the table claims it."""

    recording: str
    start_s: float | None
    end_s: float | None
    label: str
    score: float
    present: bool


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a table says.

    lengths: recording -> seconds, exact where `lists_recordings`: the table then names all that were scored, also those
    without a row. names: the classes. keys: what a recording may be called -> the recording. window_s: of the model.
    """

    rows: list[PredictedRow]
    lengths: Mapping[str, float]
    names: ClassNames
    keys: Mapping[str, str]
    window_s: float | None
    lists_recordings: bool = True
    exact_lengths: bool = False


def read_predictions(path: Path, threshold: float | None = None) -> Predictions:
    """A table of detections, a submission, or the competition's wide form.

    threshold: presence from this score on instead of the table's own. Raises ConfigError for another table.
    """
    if is_submission(path):
        return _submission(path, 0.5 if threshold is None else threshold)
    table = read_detections(path)
    listed = table.run.get("labels")
    names = [(row.label, row.scientific_name, row.common_name) for row in table.rows]
    paths = {row.recording: row.path for row in table.rows}
    lengths: dict[str, float] = defaultdict(float)
    for row in table.rows:
        lengths[row.recording] = max(lengths[row.recording], row.end_s)
    recordings = table.run.get("recordings")
    for recording in recordings or ():
        paths[recording["name"]] = recording["path"]
        lengths[recording["name"]] = recording["duration_s"]
    rows = [
        PredictedRow(
            row.recording,
            row.start_s,
            row.end_s,
            row.label,
            row.score,
            row.score >= (row.threshold if threshold is None else threshold),
        )
        for row in table.rows
    ]
    # The longest row is a window; of events only those of one window are as long as one.
    lengths_s = [row.end_s - row.start_s for row in table.rows if row.windows in (None, 1)]
    window_s = table.run.get("window_s") or max(lengths_s, default=None)
    return Predictions(
        rows,
        dict(lengths),
        ClassNames.of([*names, *(listed or ())], complete=listed is not None),
        recording_keys(paths),
        window_s,
        lists_recordings=recordings is not None,
        exact_lengths=recordings is not None,
    )


def _submission(path: Path, threshold: float) -> Predictions:
    table = read_submission(path)
    rows = [
        PredictedRow(name, start_s, end_s, label, score, score >= threshold)
        for name, start_s, end_s, label, score in table.rows
    ]
    names = ClassNames.of([(label, "", "") for label in table.labels], complete=True)
    return Predictions(
        rows, table.lengths, names, recording_keys({name: name for name in table.lengths}), table.window_s
    )


def recording_keys(paths: Mapping[str, str]) -> dict[str, str]:
    """Every way in which labels may call a recording that only one recording can mean."""
    ways = [(way, name) for name, path in paths.items() for way in {*ways_to_call(name), *ways_to_call(path)}]
    count = Counter(way for way, _ in ways)
    return {way: name for way, name in ways if count[way] == 1 or way == name}


def ways_to_call(name: str) -> list[str]:
    """A path with fewer and fewer folders, each with and without its suffix, the longest first."""
    path = PurePosixPath(name.replace("\\", "/"))
    if not path.name:
        return [name]
    parts = [part for part in path.parts if part != "/"]
    found = [name]
    for number in range(len(parts)):
        tail = PurePosixPath(*parts[number:])
        found += [tail.as_posix(), tail.with_suffix("").as_posix()]
    return list(dict.fromkeys(found))
