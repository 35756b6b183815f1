"""A teacher's soft labels: the scores of any model that birdwatch runs for each second of a data set's recordings.

The teacher is a birdwatch model file (BirdNET after `birdwatch model add birdnet`, an older model of our own); its
judgements become the table that `fit --soft-labels` reads, and its embeddings, where it has some, the file that
`fit --teacher` reads. The loop of training never sees the teacher itself.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from birdwatch.api import load_model
from birdwatch.audio.file import AudioFile
from birdwatch.audio.types import Window
from birdwatch.errors import BirdwatchError, ConfigError, SourceError
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.manifest import Label
from birdwatch.scores.pipeline import WindowStream, windows_of
from birdwatch.tables.own_files import table_beside

from .dataset import Recording, read_taxonomy
from .progress import tracked
from .soft_labels import COLUMNS, LABEL_ODDS
from .teacher import Embeddings, write_teacher

__all__ = [
    "Taught",
    "TeachOptions",
    "TeacherScores",
    "columns_of",
    "read_labels",
    "soft_rows",
    "teach",
    "teacher_scores",
]


@dataclass(frozen=True, slots=True)
class TeachOptions:
    """How scores are converted to soft labels.

    hop_s: seconds between the teacher's windows. floor: scores below it are not written (0 there).
    label_odds: what the recording's own label is worth: the odds of its species are multiplied by it, since the
    recordist said that it is found somewhere. never: the score of that species in every window of a recording in which
    the teacher nowhere finds it at least even.
    """

    hop_s: float = 1.0
    floor: float = 0.01
    label_odds: float = LABEL_ODDS
    never: float = 0.6


@dataclass(frozen=True, slots=True)
class TeacherScores:
    """A teacher's scores of one recording: `scores` float32 `(windows, classes)` in 0..1, spans `(windows,)` in s.

    embeddings: float32 `(windows, size)`, where they were asked for.
    """

    start_s: npt.NDArray[np.float64]
    end_s: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float32]
    embeddings: npt.NDArray[np.float32] | None = None


class Taught(NamedTuple):
    """Rows written, classes that the teacher knows, and how far its logits are from a linear map of its embeddings."""

    rows: int
    known: int
    residual: float


def read_labels(paths: Sequence[Path]) -> list[Label]:
    """The classes of several tables with `primary_label` (taxonomies, or tables of recordings), each class once.

    The first table's order comes first, as in the taxonomy that training is given.
    """
    labels: dict[str, Label] = {}
    for path in paths:
        for label in read_taxonomy(path):
            labels.setdefault(label.code, label)
    return list(labels.values())


def teacher_scores(
    teacher: OnnxClassifier, recording: Recording, *, hop_s: float, embed: bool = False
) -> TeacherScores:
    """A teacher's scores of every window of a recording, `hop_s` apart; raises SourceError for what is no audio."""
    manifest = teacher.manifest
    try:
        audio = AudioFile(recording.path)

        def windows() -> Iterator[Window]:
            return windows_of(audio.blocks(), WindowStream(audio.rate_hz, manifest, hop_s=hop_s))

        scored = list(teacher.score_windows(windows()))
        # Read a second time rather than held: an hour of overlapping windows is gigabytes.
        embeddings = [embedding for _, embedding in teacher.embed_windows(windows())] if embed else None
    except SourceError:
        raise
    except BirdwatchError as error:
        raise SourceError(f"{recording.path}: the teacher {teacher.path.name} failed: {error}") from error
    start_s = np.array([window.start_frame / manifest.rate_hz for window in scored])
    valid_s = np.array([window.valid_frames / manifest.rate_hz for window in scored])
    return TeacherScores(
        start_s,
        start_s + valid_s,
        np.array([window.scores for window in scored], np.float32),
        None if embeddings is None else np.array(embeddings, np.float32),
    )


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
    found: TeacherScores,
    labels: Sequence[Label],
    columns: Mapping[int, int],
    options: TeachOptions = TeachOptions(),
) -> Iterator[tuple[str, float, float, str, float]]:
    """The rows `filename, start_s, end_s, label, score` of one recording, window by window.

    A recording's own label keeps its scores as `TeachOptions` says; of a class that the teacher lacks, the label
    counts as `never` says in every window.
    """
    numbers = list(columns)
    scores = np.zeros((len(found.scores), len(labels)))
    scores[:, numbers] = found.scores[:, [columns[number] for number in numbers]]
    own = next((i for i, label in enumerate(labels) if label.code == recording.label), None)
    if own is not None:
        odds = scores[:, own] * options.label_odds
        scores[:, own] = odds / (odds + 1.0 - scores[:, own])
        if len(scores) and scores[:, own].max() < 0.5:
            scores[:, own] = options.never
    for window, number in np.argwhere(scores >= options.floor).tolist():
        yield (
            recording.filename,
            float(found.start_s[window]),
            float(found.end_s[window]),
            labels[number].code,
            _rounded(float(scores[window, number])),
        )


def teach(
    model: str,
    recordings: Sequence[Recording],
    labels: Sequence[Label],
    out: Path,
    options: TeachOptions,
    *,
    embeddings_out: Path | None = None,
) -> Taught:
    """Write the soft labels of `recordings` to `out`.

    embeddings_out: where the teacher's embeddings and classifier are to be written, too. Both files are written beside
    and renamed, whole or not at all. A progress bar is shown on a terminal.
    """
    teacher = load_model(model)
    columns = columns_of(labels, teacher.manifest.labels)
    embedded: dict[str, Embeddings] = {}
    scores: list[npt.NDArray[np.float32]] = []
    rows, residual = 0, 0.0
    with ExitStack() as whole:
        stream = whole.enter_context(table_beside(out))
        writer = csv.writer(cast("IO[str]", stream), lineterminator="\n")
        writer.writerow(COLUMNS)
        for recording in tracked(recordings, len(recordings), "listening"):
            found = teacher_scores(teacher, recording, hop_s=options.hop_s, embed=embeddings_out is not None)
            for row in soft_rows(recording, found, labels, columns, options):
                writer.writerow(row)
                rows += 1
            if found.embeddings is not None:
                values = found.embeddings.astype(np.float16)
                embedded[recording.filename] = Embeddings(found.start_s, found.end_s, values)
                scores.append(found.scores[:, list(columns.values())])
        if embeddings_out is not None:
            codes = [label.code for label in labels]
            activation = teacher.manifest.activation
            given = np.concatenate(scores)
            residual = write_teacher(embeddings_out, embedded, codes, list(columns), given, activation=activation)
    return Taught(rows, len(columns), residual)


def _rounded(score: float) -> float:
    """Four decimals, never up to a score that the teacher did not reach."""
    return math.floor(score * 1e4) / 1e4
