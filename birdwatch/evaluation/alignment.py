"""Aligns predictions and ground truth by class, in whole recordings or in segments."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from birdwatch.errors import ConfigError
from birdwatch.evaluation.class_names import ClassNames
from birdwatch.evaluation.predictions import Predictions, ways_to_call
from birdwatch.tables.label_table import LONGEST_S, Annotation
from birdwatch.wording import verb

__all__ = ["Units", "Unmatched", "compare"]

# Labels or recordings that the table does not have are an error, left out, or counted as missed.
Unmatched = Literal["refuse", "ignore", "missed"]

Named = tuple[str, tuple[str, ...]]

# An annotation counts in a segment with which it shares this much, or half of itself where it is shorter.
SHARED_S = 0.25
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Units:
    """Arrays `(units, labels)`, the recording of each unit `(units,)`, and what could not be compared.

    recordings: how many were compared. unlabelled: recordings of the table without ground truth. unknown: recordings of
    the ground truth that the table lacks. ignored: labels that match no class and were left out, with their number.
    late: labels with times that begin after the last row of their recording, of `timed` labels, where the table does
    not say how long recordings are.
    """

    labels: list[str]
    truth: npt.NDArray[np.bool_]
    scores: npt.NDArray[np.float64]
    claimed: npt.NDArray[np.bool_]
    recordings: int
    unlabelled: int
    unknown: list[str]
    names: tuple[str, ...] = ()
    ignored: Mapping[str, int] | None = None
    late: int = 0
    timed: int = 0


def compare(
    predictions: Predictions,
    truth: Iterable[Annotation],
    *,
    segment_s: float | None = None,
    unknown_labels: Unmatched = "refuse",
    unknown_recordings: Unmatched | None = None,
) -> Units:
    """Bring both to the same units: recordings where the labels or the table have no times, else segments.

    Only recordings that the ground truth names are compared. unknown_recordings: by default those that the table lacks
    are left out where it lists all that were scored, and refused where it lists only those with a detection. Raises
    ConfigError.
    """
    annotations = list(truth)
    by_recording, unknown = _match_recordings(predictions, annotations)
    _check_recordings(predictions, by_recording, unknown, unknown_recordings)
    if unknown_recordings == "missed":
        for name in unknown:
            by_recording[name] = [item for item in annotations if item.recording == name]
    codes, ignored = _match_labels(predictions.names, by_recording, unknown_labels)
    length_s = _segment_length(predictions, annotations, segment_s)
    units_of = {name: _unit_count(predictions, name, by_recording[name], length_s) for name in sorted(by_recording)}
    first = dict(zip(units_of, np.cumsum([0, *units_of.values()]).tolist(), strict=False))
    predicted = {row.label for row in predictions.rows if row.recording in first}
    labels = sorted(predicted | {code for code in codes.values() if code})
    index = {label: number for number, label in enumerate(labels)}
    size = (sum(units_of.values()), len(labels))
    true, scores, claimed = np.zeros(size, bool), np.zeros(size), np.zeros(size, bool)
    for name, items in by_recording.items():
        for item in items:
            code = codes.get((item.label, item.also))
            if code:
                shared = _shared(item.start_s, item.end_s, length_s, SHARED_S, units_of[name])
                true[[first[name] + unit for unit in shared], index[code]] = True
    for row in predictions.rows:
        if row.recording in first:
            # As in the competition's form: a window counts in the segments in which at least half of it lies, an event
            # in those of which it fills at least half.
            shared = _shared(row.start_s, row.end_s, length_s, (length_s or 0.0) / 2, units_of[row.recording])
            at = [first[row.recording] + unit for unit in shared]
            scores[at, index[row.label]] = np.maximum(scores[at, index[row.label]], row.score)
            claimed[at, index[row.label]] |= row.present
    return Units(
        labels,
        true,
        scores,
        claimed,
        recordings=len(first),
        unlabelled=len(set(predictions.lengths) - set(first)),
        unknown=unknown,
        names=tuple(name for name, count in units_of.items() for _ in range(count)),
        ignored=ignored,
        late=_late(predictions, by_recording),
        timed=sum(bool(item.label) and item.start_s is not None for items in by_recording.values() for item in items),
    )


def _late(predictions: Predictions, by_recording: Mapping[str, Sequence[Annotation]]) -> int:
    """How many labels begin after the last row of their recording; 0 where the length is known and was checked."""
    if predictions.exact_lengths:
        return 0
    return sum(
        bool(item.label) and item.start_s is not None and item.start_s >= predictions.lengths.get(name, math.inf)
        for name, items in by_recording.items()
        for item in items
    )


def _segment_length(
    predictions: Predictions, annotations: Sequence[Annotation], segment_s: float | None
) -> float | None:
    """How long a unit is; None where whole recordings are compared."""
    timed = all(item.start_s is not None for item in annotations if item.label) and all(
        row.start_s is not None for row in predictions.rows
    )
    if not timed:
        if segment_s is not None:
            raise ConfigError("--segment needs times, and the labels or the table have none; leave it out")
        return None
    length_s = segment_s or predictions.window_s
    if not length_s:
        raise ConfigError("the table does not say how long a window is; name the length of a segment with --segment")
    return length_s


def _unit_count(predictions: Predictions, name: str, items: Sequence[Annotation], length_s: float | None) -> int:
    if length_s is None:
        return 1
    _check_times(predictions, name, items, length_s)
    until_s = max(predictions.lengths.get(name, 0.0), *(item.end_s or 0.0 for item in items))
    if until_s > LONGEST_S:
        raise ConfigError(f"the recording {name} has {until_s:g} s in the table, expected at most {LONGEST_S:.0f}")
    return max(1, math.ceil(until_s / length_s - 1e-9))


def _match_recordings(
    predictions: Predictions, annotations: Sequence[Annotation]
) -> tuple[dict[str, list[Annotation]], list[str]]:
    """The annotations by the table's recordings, and the recordings that the table lacks."""
    found: dict[str, tuple[str, int]] = {}
    for whose in dict.fromkeys(item.recording for item in annotations):
        for way in ways_to_call(whose):
            if way in predictions.keys:
                found[whose] = predictions.keys[way], way.count("/")
                break
    # Of `may/a` and `june/a` only one is the table's `may/a`: the one that shares more folders with it.
    closest: dict[str, int] = defaultdict(int)
    for name, folders in found.values():
        closest[name] = max(closest[name], folders)
    by_recording: dict[str, list[Annotation]] = defaultdict(list)
    unknown: dict[str, None] = {}
    for item in annotations:
        name, folders = found.get(item.recording, ("", -1))
        if folders >= 0 and folders == closest[name]:
            by_recording[name].append(item)
        else:
            unknown[item.recording] = None
    return dict(by_recording), sorted(unknown)


def _check_recordings(
    predictions: Predictions, matched: Mapping[str, object], unknown: Sequence[str], wanted: Unmatched | None
) -> None:
    if not matched and not unknown:
        raise ConfigError("the labels name no recording; a recording without birds is a row without a label")
    if not matched:
        raise ConfigError(
            f"none of the {len(unknown)} labelled recordings is in the table; labels name {list(unknown)[:2]}, "
            f"the table {sorted(predictions.lengths)[:2]}"
        )
    if unknown and (wanted == "refuse" or (wanted is None and not predictions.lists_recordings)):
        names = ", ".join(unknown[:SHOWN]) + (" ..." if len(unknown) > SHOWN else "")
        why = "" if predictions.lists_recordings else " A csv or jsonl lists only recordings with a detection."
        raise ConfigError(
            f"{len(unknown)} of the labelled recordings {verb(len(unknown), 'is', 'are')} not in the table: "
            f"{names}.{why} Evaluate the .parquet of "
            "the run, or add --unknown-recordings missed if they were scored, ignore if they were not"
        )


def _match_labels(
    names: ClassNames, by_recording: Mapping[str, Sequence[Annotation]], wanted: Unmatched
) -> tuple[dict[Named, str | None], dict[str, int]]:
    """Label and other names -> code, None where it is left out; and how many annotations were left out for it."""
    codes: dict[Named, str | None] = {}
    strange: dict[str, int] = defaultdict(int)
    for items in by_recording.values():
        for item in items:
            if not item.label:
                continue
            known = {name: names.resolve(name) for name in (item.label, *item.also)}
            meant = {code for code in known.values() if code}
            if len(meant) > 1:
                said = " but ".join(f"{name!r} is {code}" for name, code in known.items() if code)
                raise ConfigError(
                    f"a row of the labels of {item.recording} names two classes: {said}; correct the one that is wrong"
                )
            code = next(iter(meant), None)
            if code is None:
                strange[item.label] += 1
                code = item.label if wanted == "missed" else None
            codes[item.label, item.also] = code
    if strange and wanted == "refuse":
        raise ConfigError(_strange(names, strange))
    return codes, dict(strange) if wanted == "ignore" else {}


def _strange(names: ClassNames, strange: Mapping[str, int]) -> str:
    told = []
    for label in sorted(strange)[:SHOWN]:
        near = names.suggestions(label)
        told.append(repr(label) + (f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""))
    more = f" and {len(strange) - SHOWN} more" if len(strange) > SHOWN else ""
    known = "" if names.complete else "; this table has only detected classes, --model adds the others"
    subject = "a label matches" if len(strange) == 1 else f"{len(strange)} labels match"
    return (
        f"{subject} no class: {', '.join(told)}{more}{known}. Write a class's code or name, or add --unknown-labels "
        "ignore to leave them out, or missed to count them as species that were not detected"
    )


def _check_times(predictions: Predictions, name: str, items: Iterable[Annotation], length_s: float) -> None:
    """Raise ConfigError for an annotation beyond the end of a recording whose length is known; a segment is slack."""
    duration_s = predictions.lengths.get(name)
    if not predictions.exact_lengths or duration_s is None:
        return
    for item in items:
        if item.end_s is not None and item.end_s > duration_s + length_s:
            raise ConfigError(
                f"the label {item.label!r} of {item.recording} ends at {item.end_s:g} s, the recording has "
                f"{duration_s:g} s; times are seconds since the recording began"
            )


def _shared(
    start_s: float | None, end_s: float | None, length_s: float | None, enough_s: float, count: int
) -> list[int]:
    """The segments of `count` that share `enough_s`, or half of it where that is less, with a stretch of a recording.

    A point lies in the segment that begins with it, at the very end of a recording in the last one.
    """
    if length_s is None or start_s is None or end_s is None:
        return [0]
    if end_s == start_s:
        return [min(int(start_s // length_s), count - 1)]
    least = min(enough_s, (end_s - start_s) / 2) - 1e-6
    units = range(int(start_s // length_s), min(count, math.ceil(end_s / length_s)))
    return [u for u in units if min(end_s, (u + 1) * length_s) - max(start_s, u * length_s) >= least]
