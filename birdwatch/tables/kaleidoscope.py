"""Kaleidoscope Pro's csv: written for its viewer, and read back as ground truth where a person has reviewed it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from birdwatch.audio.timestamps import utc_text
from birdwatch.paths import text_of
from birdwatch.tables.label_columns import Found, annotation, label_columns, labelled
from birdwatch.tables.label_table import LabelTable
from birdwatch.tables.result import Result, Vocabulary
from birdwatch.tables.verdicts import is_truth

__all__ = ["KALEIDOSCOPE_COLUMNS", "kaleidoscope_labels", "kaleidoscope_rows"]

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


def kaleidoscope_labels(table: LabelTable, recording: str | None) -> Found:
    """Kaleidoscope's table: what a person wrote into MANUAL ID, never what a program guessed."""
    reviewed = "manual id" in table.columns
    if not reviewed and {"top1match", "auto id"} & set(table.columns):
        raise table.refused("have no column MANUAL ID, only a program's identifications; review them first")
    columns = ["manual id"] if reviewed else label_columns(table)
    timed = {"offset", "duration"} <= set(table.columns)
    if "offset" in table.columns and not timed:
        raise table.refused("have the column OFFSET without DURATION, so a label's end is not known; write both")
    if reviewed and not any(row["manual id"].strip() for _, row in table.rows):
        raise table.refused("have nothing in MANUAL ID: these rows are not reviewed; write species, or Noise")
    for line, row in table.rows:
        if not row["in file"].strip():
            table.fault(line, "IN FILE is empty")
            continue
        folder = "/".join(part for part in (row.get("indir", ""), row.get("folder", "")) if part)
        whose = f"{folder}/{row['in file']}" if folder else row["in file"]
        span = None
        if timed:
            start, length = table.seconds(line, row, "offset"), table.seconds(line, row, "duration")
            if start is not None and length is not None:
                span = (start, round(start + length, 9))
        if not row[columns[0]].strip() and reviewed:
            table.fault(line, "MANUAL ID is empty; write the species, or Noise where there is none")
        elif reviewed and not is_truth(table, line, row):
            yield line, annotation(whose, "", span, ())
        elif reviewed:
            # Several species in one row are separated by commas.
            for name in re.split(r"[,;]", row["manual id"]):
                yield line, annotation(whose, name.strip(), span, ())
        else:
            yield from labelled(table, line, row, whose, columns, span)
