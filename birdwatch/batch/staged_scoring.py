"""Scores a recording from its local copy, and reports it under its own name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from birdwatch.audio.types import FloatArray
from birdwatch.batch.jobs import Job
from birdwatch.batch.run_database import Facts, Piece
from birdwatch.batch.scoring import ResultWriter, Scoring
from birdwatch.batch.staging import Staging
from birdwatch.errors import InferenceError, SourceError

__all__ = ["Score", "score_staged"]

Score = Callable[[Job, Scoring, ResultWriter, Callable[[float], None]], str]


def score_staged(
    score: Score,
    job: Job,
    scoring: Scoring,
    writer: ResultWriter,
    advance: Callable[[float], None],
    *,
    staging: Staging,
) -> str:
    """What `score` gives for `job`, whose files are fetched first if they are elsewhere. Raises as it does."""
    if not job.url and not any(part.url for part in job.rest):
        return score(job, scoring, writer, advance)
    try:
        with staging.files(job) as here:
            return staging.shown(score(here, scoring, _Renaming(writer, staging), advance))
    except (SourceError, InferenceError) as error:
        raise type(error)(staging.shown(str(error))) from error


class _Renaming:
    """A writer that keeps warnings with the recordings' own names."""

    def __init__(self, writer: ResultWriter, staging: Staging) -> None:
        self._writer, self._staging = writer, staging

    @property
    def floors(self) -> FloatArray:
        return self._writer.floors

    def begin(self, job: Job) -> int:
        return self._writer.begin(job)

    def add(self, recording: int, piece: Piece) -> None:
        self._writer.add(recording, piece)

    def finish(self, job: Job, recording: int | None, pieces: Sequence[Piece], facts: Facts) -> None:
        facts = replace(facts, warning=self._staging.shown(facts.warning))
        self._writer.finish(job, recording, pieces, facts)
