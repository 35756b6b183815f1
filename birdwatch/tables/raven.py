"""Raven's selection tables: written for Raven Pro and Lite, and read back as ground truth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from birdwatch.audio.timestamps import utc_text
from birdwatch.paths import text_of
from birdwatch.tables.label_columns import Found, first_column, label_columns, labelled, named_recording
from birdwatch.tables.label_table import LabelTable
from birdwatch.tables.result import Result, Vocabulary

__all__ = ["RAVEN_COLUMNS", "raven_labels", "raven_rows"]

RAVEN_COLUMNS = (
    "Selection",
    "View",
    "Channel",
    "Begin Time (s)",
    "End Time (s)",
    "Low Freq (Hz)",
    "High Freq (Hz)",
    "Begin Path",
    "File Offset (s)",
    "Begin Date",
    "Begin Clock Time",
    "Species Code",
    "Common Name",
    "Scientific Name",
    "Confidence",
)


def raven_rows(results: Iterable[Result], words: Vocabulary) -> Iterator[Sequence[object]]:
    """Raven Pro's selection table, tab-separated.

    For several recordings Raven's clock runs on from file to file, as it does when they are opened together in this
    order; "File Offset (s)" is each file's own. Channels count from 1. Date and clock time are UTC, if known.
    """
    low_hz, high_hz = words.band_hz
    labels = words.manifest.labels
    selection, total = 0, 0
    # The channels of one file have the same times.
    clock: dict[str, int] = {}
    for result in results:
        path = text_of(result.path.absolute())
        if path not in clock:
            clock[path] = total
            total += result.frames
        before = clock[path]
        for rows in result.rows(words.rows):
            for start, end, label, score, *_ in rows.tolist():
                selection += 1
                names = labels[label]
                utc_ns = words.utc_ns(result, start)
                stamp = "" if utc_ns is None else utc_text(utc_ns)
                yield (
                    selection,
                    "Spectrogram 1",
                    1 if result.channel is None else result.channel + 1,
                    f"{words.seconds(before + start):.3f}",
                    f"{words.seconds(before + end):.3f}",
                    f"{low_hz:.3f}",
                    f"{high_hz:.3f}",
                    path,
                    f"{words.seconds(start):.3f}",
                    stamp[:10].replace("-", "/"),
                    stamp[11:23],
                    names.code,
                    names.common_name,
                    names.scientific_name,
                    f"{score:.4f}",
                )


def raven_labels(table: LabelTable, recording: str | None) -> Found:
    """Raven's selection table; in one over several files the end is on the clock of them all."""
    path = first_column(table, ("begin path", "begin file"))
    combined = path is not None and "file offset (s)" in table.columns
    if path is None:
        recording = named_recording(table, recording)
    elif not combined and len({row[path] for _, row in table.rows}) > 1:
        raise table.refused(
            f"name several recordings under {path} and have no column File Offset (s), so it is not known whether "
            "their times are on each recording's own clock; write that column too (seconds since each file began)"
        )
    columns = label_columns(table)
    for line, row in table.rows:
        span = table.span(line, row, "begin time (s)", "end time (s)")
        if combined and span is not None:
            offset = table.seconds(line, row, "file offset (s)")
            if offset is None:
                table.fault(line, "file offset (s) is empty")
            else:
                span = (offset, round(offset + span[1] - span[0], 9))
        whose = str(recording if path is None else row[path]).strip()
        if not whose:
            table.fault(line, f"{path} is empty")
            continue
        yield from labelled(table, line, row, whose, columns, span)
