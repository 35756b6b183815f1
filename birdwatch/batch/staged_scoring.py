"""A recording scored from its file on this disk, wherever it came from, and reported under its own name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from birdwatch.audio.types import FloatArray
from birdwatch.batch.jobs import Job
from birdwatch.batch.run_database import Facts, Piece
from birdwatch.batch.scoring import Keeper, Scoring
from birdwatch.batch.staging import Staging
from birdwatch.errors import InferenceError, SourceError

__all__ = ["Score", "score_staged"]

Score = Callable[[Job, Scoring, Keeper, Callable[[float], None]], str]


def score_staged(
    score: Score, job: Job, scoring: Scoring, keeper: Keeper, advance: Callable[[float], None], *, staging: Staging
) -> str:
    """What `score` gives for `job`, whose files are fetched first if they are elsewhere. Raises as it does."""
    if not job.url and not any(part.url for part in job.rest):
        return score(job, scoring, keeper, advance)
    try:
        with staging.files(job) as here:
            return staging.shown(score(here, scoring, _Renaming(keeper, staging), advance))
    except (SourceError, InferenceError) as error:
        raise type(error)(staging.shown(str(error))) from error


class _Renaming:
    """A keeper that keeps warnings with the recordings' own names."""

    def __init__(self, keeper: Keeper, staging: Staging) -> None:
        self._keeper, self._staging = keeper, staging

    @property
    def floors(self) -> FloatArray:
        return self._keeper.floors

    def begin(self, job: Job) -> int:
        return self._keeper.begin(job)

    def add(self, recording: int, piece: Piece) -> None:
        self._keeper.add(recording, piece)

    def finish(self, job: Job, recording: int | None, pieces: Sequence[Piece], facts: Facts) -> None:
        facts = replace(facts, warning=self._staging.shown(facts.warning))
        self._keeper.finish(job, recording, pieces, facts)
