"""Audacity's label tracks: written for Audacity, and read back as ground truth."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from birdwatch.tables.label_columns import Found, annotation, named_recording
from birdwatch.tables.label_table import LabelTable
from birdwatch.tables.result import Result, Vocabulary

__all__ = ["audacity_labels", "audacity_rows"]


def audacity_rows(results: Iterable[Result], words: Vocabulary) -> Iterator[Sequence[object]]:
    """Audacity's label track: start and end in seconds and a text, without a header. One recording's only."""
    labels = words.manifest.labels
    for result in results:
        for rows in result.rows(words.rows):
            for start, end, label, score, *_ in rows.tolist():
                name = labels[label].common_name or labels[label].code
                yield f"{words.seconds(start):.6f}", f"{words.seconds(end):.6f}", f"{name} {score:.2f}"


def audacity_labels(table: LabelTable, recording: str | None) -> Found:
    """Audacity's label track: start, end, text, without a heading; lines that begin with \\ hold frequencies."""
    whose = named_recording(table, recording)
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
            yield line, annotation(whose, names[-1], span, names[:-1])
