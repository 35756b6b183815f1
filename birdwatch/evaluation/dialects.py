"""Detects the format of a table of labels and reads it with the first matching reader; reads the generic csv."""

from __future__ import annotations

import re
from collections.abc import Callable

from birdwatch.tables.audacity import audacity_labels
from birdwatch.tables.kaleidoscope import kaleidoscope_labels
from birdwatch.tables.label_columns import (
    COMMON,
    LABEL,
    SCIENTIFIC,
    Found,
    Row,
    Span,
    first_column,
    label_columns,
    labelled,
)
from birdwatch.tables.label_table import Annotation, LabelTable
from birdwatch.tables.raven import raven_labels
from birdwatch.tables.submission import presence_labels, segment_labels

__all__ = ["read_dialect"]

# A table, and the recording that its file is named after.
Reader = Callable[[LabelTable, str | None], Found]

# What people call these columns, in lower case.
RECORDING = ("recording", "filename", "file", "begin file", "begin path", "path", "filepath", "row_id", "notated_path")
START = ("start_s", "start (s)", "begin time (s)", "start", "start_time", "begin", "begin_s", "onset", "onset_s")
END = ("end_s", "end (s)", "end time (s)", "end", "end_time", "offset_s", "finish", "offset")
DURATION = ("duration_s", "duration (s)", "duration")
# A column of such a name is about times; where no reader knows it, the times must not be ignored.
TIMELIKE = re.compile(
    r"(^|[^a-z])(start|begin|onset|offset|end|stop|finish|from|until|tmin|tmax|t0|t1|time \(|seconds?)"
    r"(time|s|sec|seconds|ms|sample|frame)?([^a-z]|$)"
)
# Times only where they are numbers: BirdCLEF's `time` is the time of day.
MOMENTS = frozenset({"time", "time_s", "timestamp", "t", "seconds", "position", "position_s", "at"})
NOT_TIMES = {"begin path", "begin file", "end file", "end path", "begin date"}


def _lacking(table: LabelTable) -> str:
    columns = ", ".join(filter(None, table.columns))
    return f"have no column for a label, only {columns}" if columns else "are empty and have no column for a label"


def read_dialect(table: LabelTable, recording: str | None) -> list[Annotation]:
    """The annotations of a table. recording: what its file is named after, where a table may be about one recording.

    Raises ConfigError for a table of no known form, and where rows are not understood.
    """
    reader = next((read for fits, read in READERS if fits(set(table.columns))), None)
    if not table.columns and table.rows:
        reader = audacity_labels
    if reader is None:
        raise table.refused(f"{_lacking(table)}; expected one of {', '.join((*LABEL, *SCIENTIFIC, *COMMON))}")
    found = list(reader(table, recording))
    if not table.faults and any(item.label and item.start_s is not None for _, item in found):
        for line, item in found:
            if item.label and item.start_s is None:
                table.fault(line, f"{item.label!r} has no times, other rows have")
    table.check()
    return [item for _, item in found]


def _generic(table: LabelTable, recording: str | None) -> Found:
    """A csv with a column for the recording, one or more for names, and times where labels have them.

    So write crowsetta (generic-seq), BirdNET-Analyzer (csv and R), BirdCLEF and most scripts.
    """
    name = first_column(table, RECORDING)
    columns = label_columns(table)
    start, end, duration = first_column(table, START), first_column(table, END), first_column(table, DURATION)
    if start is None and duration is not None and "offset" in table.columns:
        start, end = "offset", None
    # A file of stretches may be named after its recording (BirdNET-Analyzer, crowsetta's simple-seq); another has to
    # say whose labels these are.
    if name is None and (recording is None or start is None or (end is None and duration is None)):
        raise table.refused(
            f"have no column for the recording, only {', '.join(table.columns)}; expected one of {', '.join(RECORDING)}"
        )
    times = (start, end or duration) if start is not None else (None, None)
    if start is None or (end is None and duration is None):
        odd = [column for column in table.columns if TIMELIKE.search(column) and column not in NOT_TIMES]
        odd += [column for column in table.columns if column in MOMENTS and _has_number(table, column)]
        if odd:
            raise table.refused(
                f"have the columns {', '.join(odd)}, which seem to hold times, without a start and an end that can be "
                f"understood; call them start_s and end_s (seconds since the recording began)"
            )
        times = (None, None)
    for line, row in table.rows:
        whose = str(recording if name is None else row[name]).strip()
        if not whose:
            table.fault(line, f"{name} is empty")
            continue
        span = None
        if times[0] is not None and times[1] is not None:
            span = _timed(table, line, row, times[0], times[1], length=end is None)
        yield from labelled(table, line, row, whose, columns, span)


def _has_number(table: LabelTable, column: str) -> bool:
    return any(re.fullmatch(r"\s*\d+([.,]\d+)?\s*", row[column]) for _, row in table.rows)


def _timed(table: LabelTable, line: int, row: Row, start: str, end: str, *, length: bool) -> Span | None:
    if not length:
        return table.span(line, row, start, end)
    first, seconds = table.seconds(line, row, start), table.seconds(line, row, end)
    return None if first is None or seconds is None else (first, round(first + seconds, 9))


def _columns(*names: str) -> Callable[[set[str]], bool]:
    return lambda columns: set(names) <= columns


READERS: tuple[tuple[Callable[[set[str]], bool], Reader], ...] = (
    (_columns("begin time (s)", "end time (s)"), raven_labels),
    (_columns("in file"), kaleidoscope_labels),
    (_columns("row_id", "class_name", "presence"), presence_labels),
    (lambda columns: "row_id" in columns and not columns & {*LABEL, *SCIENTIFIC, *COMMON}, segment_labels),
    (lambda columns: bool(columns & {*LABEL, *SCIENTIFIC, *COMMON}), _generic),
)
