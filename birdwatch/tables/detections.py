"""Writes and reads the csv of detections or events."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from birdwatch.audio.timestamps import utc_text
from birdwatch.errors import ConfigError
from birdwatch.paths import text_of
from birdwatch.tables.cells import original_text
from birdwatch.tables.local_time import local_text
from birdwatch.tables.result import Result, Vocabulary
from birdwatch.tables.rows import DetectionTable, row_of

__all__ = ["DETECTION_COLUMNS", "EVENT_COLUMNS", "LOCAL_COLUMNS", "detection_columns", "detection_rows", "read_csv"]

# As in the messages of a station; parquet has the same columns.
DETECTION_COLUMNS = (
    "recording",
    "path",
    "channel",
    "start_s",
    "end_s",
    "label",
    "common_name",
    "scientific_name",
    "score",
    "threshold",
    "start",
    "end",
)
# What a row that is an event has in addition; its `score` is the maximum over its windows.
EVENT_COLUMNS = ("mean_score", "windows")
# Where the run was given a zone: the same moments on its clock, and its name.
LOCAL_COLUMNS = ("start_local", "end_local", "timezone")


def detection_columns(words: Vocabulary) -> tuple[str, ...]:
    """The heading."""
    events = EVENT_COLUMNS if words.rows == "events" else ()
    return (*DETECTION_COLUMNS, *events, *(LOCAL_COLUMNS if words.zone is not None else ()))


def detection_rows(results: Iterable[Result], words: Vocabulary) -> Iterator[Sequence[object]]:
    """One row per detection or event. channel is empty for a downmix, start and end where unknown."""
    labels = words.manifest.labels
    limits = words.limits.tolist()
    for result in results:
        path, channel = text_of(result.path), "" if result.channel is None else result.channel
        for rows in result.rows(words.rows):
            for start, end, label, score, *event in rows.tolist():
                names = labels[label]
                yield (
                    result.name,
                    path,
                    channel,
                    f"{words.seconds(start):.3f}",
                    f"{words.seconds(end):.3f}",
                    names.code,
                    names.common_name,
                    names.scientific_name,
                    f"{score:.6f}",
                    f"{limits[label]:.6f}",
                    _utc(words.utc_ns(result, start)),
                    _utc(words.utc_ns(result, end)),
                    *(() if not event else (f"{event[0]:.6f}", event[1])),
                    *_local(words, result, start, end),
                )


def read_csv(path: Path) -> DetectionTable:
    """Read the csv back. Raises ConfigError for one without its columns; OSError and ValueError where it is no csv."""
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        missing = [name for name in DETECTION_COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise ConfigError(
                f"{path} lacks the columns {', '.join(missing)}; expected a table of `birdwatch run` "
                "in --format detections, .parquet or .jsonl",
                path=path,
            )
        cells = [{name: original_text(cell) for name, cell in row.items()} for row in reader]
    zones = {row["timezone"] for row in cells if row.get("timezone")}
    return DetectionTable([row_of(row) for row in cells], {}, next(iter(zones)) if len(zones) == 1 else None)


def _local(words: Vocabulary, result: Result, start: int, end: int) -> Sequence[str]:
    """The cells of `LOCAL_COLUMNS`, empty where the start is unknown; nothing without a zone."""
    if words.zone is None:
        return ()
    first, last = words.utc_ns(result, start), words.utc_ns(result, end)
    if first is None or last is None:
        return "", "", ""
    try:
        return local_text(first, words.zone), local_text(last, words.zone), words.timezone or ""
    except OverflowError:
        return "", "", ""


def _utc(utc_ns: int | None) -> str:
    return "" if utc_ns is None else utc_text(utc_ns)
