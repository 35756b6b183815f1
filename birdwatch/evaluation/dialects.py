"""The forms in which the field writes labels, one small reader each; the first that fits a table reads it."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import PureWindowsPath

from birdwatch.evaluation.label_table import Annotation, LabelTable

__all__ = ["read_dialect"]

Row = dict[str, str]
# Lines of the file with what they say; a row may hold several labels.
Found = Iterator[tuple[int, Annotation]]
# A table, and the recording that its file is named after.
Reader = Callable[[LabelTable, str | None], Found]
Span = tuple[float, float]

# Under these names people say that a stretch holds no bird: BirdCLEF, Kaleidoscope, BirdNET.
NOTHING = {"nocall", "no call", "noise", "none", "no bird", "empty"}
# What people call these columns, in lower case.
RECORDING = ("recording", "filename", "file", "begin file", "begin path", "path", "filepath", "row_id", "notated_path")
LABEL = ("label", "primary_label", "species code", "ebird_code", "class_name", "species", "annotation", "tag")
SCIENTIFIC = ("scientific name", "scientific_name", "sci_name")
COMMON = ("common name", "common_name", "english_name")
START = ("start_s", "start (s)", "begin time (s)", "start", "start_time", "begin", "begin_s", "onset", "onset_s")
END = ("end_s", "end (s)", "end time (s)", "end", "end_time", "offset_s", "finish", "offset")
DURATION = ("duration_s", "duration (s)", "duration")
# A column of such a name is about times; where no reader knows it, the times must not be ignored.
TIMELIKE = re.compile(
    r"(^|[^a-z])(start|begin|onset|offset|end|stop|finish|from|until|tmin|tmax|t0|t1|time \(|seconds?)"
    r"(time|s|sec|seconds|ms|sample|frame)?([^a-z]|$)"
)
NOT_TIMES = {"begin path", "begin file", "end file", "end path", "begin date", "begin clock time", "end clock time"}


def read_dialect(table: LabelTable, recording: str | None) -> list[Annotation]:
    """The annotations of a table. recording: what its file is named after, where a table may be about one recording.

    Raises ConfigError for a table of no known form, and where rows are not understood.
    """
    reader = next((read for fits, read in READERS if fits(set(table.columns))), None)
    if not table.columns and table.rows:
        reader = _audacity
    if reader is None:
        raise table.refused(
            f"have no column for a label, only {', '.join(filter(None, table.columns)) or 'nothing'}; expected one of "
            f"{', '.join((*LABEL, *SCIENTIFIC, *COMMON))}"
        )
    found = list(reader(table, recording))
    if not table.faults and any(item.label and item.start_s is not None for _, item in found):
        for line, item in found:
            if item.label and item.start_s is None:
                table.fault(line, f"{item.label!r} has no times, other rows have")
    table.check()
    return [item for _, item in found]


def _audacity(table: LabelTable, recording: str | None) -> Found:
    """Audacity's label track: start, end, text, without a heading; lines that begin with \\ hold frequencies."""
    whose = _named(table, recording)
    for line, row in table.rows:
        if row["0"].startswith("\\"):
            continue
        if "1" not in row:
            table.fault(line, f"{row['0']!r} is no label; expected start, end and a text")
            continue
        # birdwatch's own labels end in the score, as do BirdNET's in a column of their own.
        text = re.sub(r" [01]\.\d\d$", "", row.get("2", "").strip())
        span = table.span(line, row, "0", "1")
        names = [name.strip() for name in text.split(", ")] if ", " in text else [text]
        if span is not None:
            yield line, _annotation(whose, names[-1], span, names[:-1])


def _raven(table: LabelTable, recording: str | None) -> Found:
    """Raven's selection table; in one over several files the end is on the clock of them all."""
    path = _first(table, ("begin path", "begin file"))
    combined = path is not None and "file offset (s)" in table.columns
    if path is None:
        recording = _named(table, recording)
    columns = _label_columns(table)
    for line, row in table.rows:
        span = table.span(line, row, "begin time (s)", "end time (s)")
        if combined and span is not None:
            offset = table.seconds(line, row, "file offset (s)")
            if offset is not None:
                span = (offset, round(offset + span[1] - span[0], 9))
        whose = str(recording if path is None else row[path])
        yield from _labelled(table, line, row, whose, columns, span)


def _kaleidoscope(table: LabelTable, recording: str | None) -> Found:
    """Kaleidoscope's table: what a person wrote into MANUAL ID, never what a program guessed."""
    reviewed = "manual id" in table.columns
    if not reviewed and {"top1match", "auto id"} & set(table.columns):
        raise table.refused("have no column MANUAL ID, only a program's identifications; review them first")
    columns = ["manual id"] if reviewed else _label_columns(table)
    timed = {"offset", "duration"} <= set(table.columns)
    if reviewed and not any(row["manual id"].strip() for _, row in table.rows):
        raise table.refused("have nothing in MANUAL ID: nobody has reviewed these rows; write species, or Noise")
    for line, row in table.rows:
        folder = "/".join(part for part in (row.get("indir", ""), row.get("folder", "")) if part)
        whose = f"{folder}/{row['in file']}" if folder else row["in file"]
        span = None
        if timed:
            start, length = table.seconds(line, row, "offset"), table.seconds(line, row, "duration")
            if start is not None and length is not None:
                span = (start, round(start + length, 9))
        if not row[columns[0]].strip() and reviewed:
            table.fault(line, "MANUAL ID is empty; write the species, or Noise where there is none")
        elif reviewed:
            # Several species in one row are separated by commas.
            for name in re.split(r"[,;]", row["manual id"]):
                yield line, _annotation(whose, name.strip(), span, ())
        else:
            yield from _labelled(table, line, row, whose, columns, span)


def _presence(table: LabelTable, recording: str | None) -> Found:
    """A submission as truth: one row per recording and class, presence 1 or 0."""
    for line, row in table.rows:
        if row["presence"].strip() not in ("0", "1"):
            table.fault(line, f"presence is {row['presence']!r}, expected 0 or 1")
        else:
            there = row["presence"].strip() == "1"
            yield line, Annotation(row["row_id"], row["class_name"] if there else "", None, None)


def _wide(table: LabelTable, recording: str | None) -> Found:
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


def _generic(table: LabelTable, recording: str | None) -> Found:
    """A csv with a column for the recording, one or more for names, and times where labels have them.

    So write crowsetta (generic-seq), BirdNET-Analyzer (csv and R), BirdCLEF and most scripts.
    """
    name = _first(table, RECORDING)
    columns = _label_columns(table)
    # The files of BirdNET-Analyzer and those in a folder are named after their recordings; another csv has to say it.
    if name is None and (recording is None or not {"start (s)", "end (s)"} <= set(table.columns)):
        raise table.refused(
            f"have no column for the recording, only {', '.join(table.columns)}; expected one of {', '.join(RECORDING)}"
        )
    start, end, duration = _first(table, START), _first(table, END), _first(table, DURATION)
    if start is None and duration is not None and "offset" in table.columns:
        start, end = "offset", None
    times = (start, end or duration) if start is not None else (None, None)
    if start is None or (end is None and duration is None):
        odd = [column for column in table.columns if TIMELIKE.search(column) and column not in NOT_TIMES]
        if odd:
            raise table.refused(
                f"have the columns {', '.join(odd)}, which seem to hold times, without a start and an end that are "
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
        yield from _labelled(table, line, row, whose, columns, span)


def _timed(table: LabelTable, line: int, row: Row, start: str, end: str, *, length: bool) -> Span | None:
    if not length:
        return table.span(line, row, start, end)
    first, seconds = table.seconds(line, row, start), table.seconds(line, row, end)
    return None if first is None or seconds is None else (first, round(first + seconds, 9))


def _labelled(
    table: LabelTable,
    line: int,
    row: Row,
    recording: str,
    columns: Sequence[str],
    span: Span | None,
) -> Found:
    """A row's label, its other names beside it, and BirdCLEF's background species as labels of their own."""
    names = [row[column].strip() for column in columns if row[column].strip()]
    yield line, _annotation(recording, names[0] if names else "", span, names[1:])
    if "secondary_labels" in row:
        for name in _listed(table, line, row["secondary_labels"]):
            yield line, _annotation(recording, name, span, ())


def _listed(table: LabelTable, line: int, text: str) -> list[str]:
    """`['a', 'b']` of BirdCLEF, or names separated by blanks."""
    if not text.strip().startswith("["):
        return text.split()
    try:
        names = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        table.fault(line, f"secondary_labels is {text!r}, expected a list such as ['eurrob1']")
        return []
    return [name for name in names if name]


def _annotation(recording: str, name: str, span: Span | None, also: Sequence[str]) -> Annotation:
    nothing = not name or name.casefold() in NOTHING
    start_s, end_s = span or (None, None)
    return Annotation(recording, "" if nothing else name, start_s, end_s, () if nothing else tuple(also))


def _label_columns(table: LabelTable) -> list[str]:
    """The columns that name the class, the code's first."""
    found = [column for column in (_first(table, names) for names in (LABEL, SCIENTIFIC, COMMON)) if column]
    if not found:
        raise table.refused(
            f"have no column for a label, only {', '.join(filter(None, table.columns))}; expected one of "
            f"{', '.join((*LABEL, *SCIENTIFIC, *COMMON))}"
        )
    return found


def _first(table: LabelTable, names: Sequence[str]) -> str | None:
    return next((name for name in names if name in table.columns), None)


def _named(table: LabelTable, recording: str | None) -> str:
    return recording if recording is not None else PureWindowsPath(table.path.name).stem


def _columns(*names: str) -> Callable[[set[str]], bool]:
    return lambda columns: set(names) <= columns


READERS: tuple[tuple[Callable[[set[str]], bool], Reader], ...] = (
    (_columns("begin time (s)", "end time (s)"), _raven),
    (_columns("in file"), _kaleidoscope),
    (_columns("row_id", "class_name", "presence"), _presence),
    (lambda columns: "row_id" in columns and not columns & {*LABEL, *SCIENTIFIC, *COMMON}, _wide),
    (lambda columns: bool(columns & {*LABEL, *SCIENTIFIC, *COMMON}), _generic),
)
