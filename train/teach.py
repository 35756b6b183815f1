"""A teacher's soft labels: what any model that birdwatch runs hears in each second of a data set's recordings.

The teacher is a birdwatch model file (BirdNET after `birdwatch model add birdnet`, an older model of our own); its
judgements become the table that `fit --soft-labels` reads. The loop of training never sees the teacher itself.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from birdwatch.api import analyze, load_model
from birdwatch.errors import BirdwatchError, ConfigError, SourceError
from birdwatch.inference import OnnxClassifier
from birdwatch.model import Label

from .dataset import Recording, read_taxonomy
from .progress import tracked
from .soft_labels import COLUMNS

__all__ = ["Heard", "TeachOptions", "columns_of", "hear", "read_labels", "soft_rows", "teach"]


@dataclass(frozen=True, slots=True)
class TeachOptions:
    """How scores become soft labels.

    hop_s: seconds between the teacher's windows. floor: scores below it are not written (0 there).
    label_odds: what the recording's own label is worth: the odds of its species are multiplied by it, since the
    recordist said that it is heard somewhere. never: the score of that species in every window of a recording in which
    the teacher nowhere finds it at least even.
    """

    hop_s: float = 1.0
    floor: float = 0.01
    label_odds: float = 12.0
    never: float = 0.6


@dataclass(frozen=True, slots=True)
class Heard:
    """A teacher's scores of one recording: `scores` float32 `(windows, classes)` in 0..1, spans `(windows,)` in s."""

    start_s: npt.NDArray[np.float64]
    end_s: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float32]


def read_labels(paths: Sequence[Path]) -> list[Label]:
    """The classes of several tables with `primary_label` (taxonomies, or tables of recordings), each class once.

    The first table's order comes first, as in the taxonomy that training is given.
    """
    labels: dict[str, Label] = {}
    for path in paths:
        for label in read_taxonomy(path):
            labels.setdefault(label.code, label)
    return list(labels.values())


def hear(teacher: OnnxClassifier, recording: Recording, *, hop_s: float) -> Heard:
    """A teacher's scores of every window of a recording, `hop_s` apart; raises SourceError for what is no audio."""
    try:
        scored = analyze(recording.path, teacher, hop_s)
    except SourceError:
        raise
    except BirdwatchError as error:
        raise SourceError(f"{recording.path}: the teacher {teacher.path.name} failed: {error}") from error
    rate_hz = teacher.manifest.rate_hz
    start_s = np.array([window.start_frame / rate_hz for window in scored.windows])
    valid_s = np.array([window.valid_frames / rate_hz for window in scored.windows])
    return Heard(start_s, start_s + valid_s, np.array([window.scores for window in scored.windows], np.float32))


def columns_of(labels: Sequence[Label], teacher: Sequence[Label]) -> dict[int, int]:
    """The teacher's column of each class, by number: matched by scientific name, else by code.

    Classes that the teacher does not know are absent. Raises ConfigError if it knows none of them.
    """
    by_name = {label.scientific_name.lower(): i for i, label in enumerate(teacher) if label.scientific_name}
    by_code = {label.code: i for i, label in enumerate(teacher)}
    found = {}
    for number, label in enumerate(labels):
        column = by_name.get(label.scientific_name.lower(), by_code.get(label.code))
        if column is not None:
            found[number] = column
    if not found:
        raise ConfigError(
            f"the teacher knows none of the {len(labels)} classes, neither by scientific name nor by code; "
            "give a taxonomy with the column scientific_name"
        )
    return found


def soft_rows(
    recording: Recording,
    heard: Heard,
    labels: Sequence[Label],
    columns: Mapping[int, int],
    options: TeachOptions = TeachOptions(),
) -> Iterator[tuple[str, float, float, str, float]]:
    """The rows `filename, start_s, end_s, label, score` of one recording, window by window.

    A recording's own label keeps its scores as `TeachOptions` says; of a class that the teacher lacks, the label
    counts as `never` says in every window.
    """
    numbers = list(columns)
    scores = np.zeros((len(heard.scores), len(labels)))
    scores[:, numbers] = heard.scores[:, [columns[number] for number in numbers]]
    own = next((i for i, label in enumerate(labels) if label.code == recording.label), None)
    if own is not None:
        odds = scores[:, own] * options.label_odds
        scores[:, own] = odds / (odds + 1.0 - scores[:, own])
        if len(scores) and scores[:, own].max() < 0.5:
            scores[:, own] = options.never
    for window, number in np.argwhere(scores >= options.floor).tolist():
        yield (
            recording.filename,
            float(heard.start_s[window]),
            float(heard.end_s[window]),
            labels[number].code,
            _rounded(float(scores[window, number])),
        )


def teach(
    model: str, recordings: Sequence[Recording], labels: Sequence[Label], out: Path, options: TeachOptions
) -> tuple[int, int]:
    """Write the soft labels of `recordings` to `out`; returns how many rows, and how many classes the teacher knows.

    The table is written beside `out` and renamed, whole or not at all. A progress bar is shown on a terminal.
    """
    teacher = load_model(model)
    columns = columns_of(labels, teacher.manifest.labels)
    part = out.with_name(out.name + ".part")
    rows = 0
    try:
        with part.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(COLUMNS)
            for recording in tracked(recordings, len(recordings), "listening"):
                for row in soft_rows(
                    recording, hear(teacher, recording, hop_s=options.hop_s), labels, columns, options
                ):
                    writer.writerow(row)
                    rows += 1
        part.replace(out)
    except OSError as error:
        raise ConfigError(f"{out} could not be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
    return rows, len(columns)


def _rounded(score: float) -> float:
    """Four decimals, never up to a score that the teacher did not reach."""
    return math.floor(score * 1e4) / 1e4
