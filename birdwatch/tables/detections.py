"""Tables of detections or events: csv, JSON lines and Kaleidoscope-style csv."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from birdwatch.audio.timestamps import utc_text
from birdwatch.paths import text_of
from birdwatch.tables.result import Result, Vocabulary

__all__ = [
    "DETECTION_COLUMNS",
    "EVENT_COLUMNS",
    "KALEIDOSCOPE_COLUMNS",
    "detection_rows",
    "json_lines",
    "kaleidoscope_rows",
]

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
# Kaleidoscope Pro's own columns, then those that BirdNET-Analyzer's table for it adds.
KALEIDOSCOPE_COLUMNS = (
    "INDIR",
    "FOLDER",
    "IN FILE",
    "CHANNEL",
    "OFFSET",
    "DURATION",
    "DATE",
    "TIME",
    "HOUR",
    "TOP1MATCH",
    "scientific_name",
    "common_name",
    "confidence",
    "MANUAL ID",
)


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
                )


def json_lines(results: Iterable[Result], words: Vocabulary) -> Iterator[str]:
    """One JSON object per row, its keys the columns of the csv; null where the csv is empty."""
    numbers = {"start_s", "end_s", "score", "threshold", "mean_score"}
    columns = DETECTION_COLUMNS if words.rows == "windows" else (*DETECTION_COLUMNS, *EVENT_COLUMNS)
    for row in detection_rows(results, words):
        values = {
            key: float(str(value)) if key in numbers else (None if value == "" else value)
            for key, value in zip(columns, row, strict=True)
        }
        yield json.dumps(values, ensure_ascii=False)


def kaleidoscope_rows(results: Iterable[Result], words: Vocabulary) -> Iterator[Sequence[object]]:
    """Kaleidoscope Pro's table: folder, file, offset and duration in seconds; date and time in UTC, if known."""
    labels = words.manifest.labels
    for result in results:
        whole = result.path.absolute()
        channel = "" if result.channel is None else result.channel
        for rows in result.rows(words.rows):
            for start, end, label, score, *_ in rows.tolist():
                names = labels[label]
                utc_ns = words.utc_ns(result, start)
                stamp = "" if utc_ns is None else utc_text(utc_ns)
                yield (
                    text_of(whole.parent.parent),
                    text_of(whole.parent.name),
                    text_of(whole.name),
                    channel,
                    f"{words.seconds(start):.3f}",
                    f"{words.seconds(end) - words.seconds(start):.3f}",
                    stamp[:10],
                    stamp[11:19],
                    stamp[11:13],
                    names.code,
                    names.scientific_name,
                    names.common_name,
                    f"{score:.4f}",
                    "",
                )


def _utc(utc_ns: int | None) -> str:
    return "" if utc_ns is None else utc_text(utc_ns)
