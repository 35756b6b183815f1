"""The other models of a blend: each scores all recordings into its own run database, if there is time.

The first model always scores everything. Another one begins only while there is as much time left as the slowest one
before it took, so what a budget drops is a model and never the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np

from birdwatch.audio.types import FloatArray
from birdwatch.audio.windows import hop_frames_of
from birdwatch.batch.jobs import Job
from birdwatch.batch.local_runner import View, score_all
from birdwatch.batch.progress import Meter
from birdwatch.batch.request import RunRequest
from birdwatch.batch.results import result_of
from birdwatch.batch.run_database import RunDatabase, database_path
from birdwatch.batch.scoring import Scoring
from birdwatch.errors import ConfigError
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.registry import find_model
from birdwatch.scores.blending import Blending, blended, extended, smoothed_over_time
from birdwatch.tables.result import Result
from birdwatch.wording import counted

__all__ = ["Budget", "blended_results", "open_members", "score_members", "unscored"]


@dataclass(frozen=True, slots=True)
class Budget:
    """The time budget of a run: its seconds (0: unlimited), when it began, and the clock."""

    seconds: float
    began_s: float
    clock: Callable[[], float]


def open_members(request: RunRequest, first: OnnxClassifier) -> list[OnnxClassifier]:
    """The further models, loaded and checked before anything is scored. Raises ConfigError where labels differ."""
    found = []
    for name in request.blending.models:
        classifier = OnnxClassifier(find_model(name), provider=request.settings.provider, batch_size=request.batch)
        if classifier.manifest.codes != first.manifest.codes:
            raise ConfigError(f"{classifier.path} has other labels than {first.path}; they cannot be blended")
        hop_frames_of(request.settings.hop, classifier.manifest.window_frames, classifier.manifest.rate_hz)
        found.append(classifier)
    return found


def unscored(wanted: Sequence[Job], database: RunDatabase) -> list[Job]:
    """The jobs that the database has no result of; those that cannot be read are among them, to be reported."""
    return [job for job in wanted if job.fault is not None or database.find(job) is None]


def score_members(
    request: RunRequest,
    members: Sequence[OnnxClassifier],
    wanted: Sequence[Job],
    scoring: Scoring,
    parameters: Mapping[str, Any],
    budget: Budget,
    *,
    opened: ExitStack,
    notice: Callable[[str], None],
    view: View,
) -> list[RunDatabase]:
    """Score with each further model while the budget lasts; the databases, which `opened` closes, in order."""
    databases: list[RunDatabase] = []
    longest_s = budget.clock() - budget.began_s
    for number, classifier in enumerate(members, start=2):
        member_began_s = budget.clock()
        if budget.seconds and member_began_s - budget.began_s + longest_s > budget.seconds:
            notice(
                f"birdwatch: the budget leaves no time for {classifier.path.name} and what comes after it; "
                f"{counted(len(databases) + 1, 'model')} of {len(members) + 1} in the table"
            )
            break
        path = database_path(request.outputs[0].path, number)
        own = {**parameters, "model": classifier.manifest.name, "model_sha256": classifier.sha256}
        database = opened.enter_context(RunDatabase(path, own, floors=scoring.floors, resume=request.resume))
        todo = [job for job in unscored(wanted, database) if job.fault is None]
        meter = Meter(todo, resumed=len(wanted) - len(todo))
        outcomes = score_all(request, todo, replace(scoring, classifier=classifier), database, meter, view)
        for failed in (outcome for outcome in outcomes if outcome.fault):
            notice(f"birdwatch: {classifier.path.name} has no part in {failed.job.name}: {failed.fault}")
        databases.append(database)
        longest_s = max(longest_s, budget.clock() - member_began_s)
    return databases


def blended_results(
    jobs: Sequence[Job], results: Sequence[Result], members: Sequence[RunDatabase], blending: Blending, classes: int
) -> list[Result]:
    """The results of `jobs` with the segments of all models, blended and smoothed; all else is the first model's.

    A blend of ranks has all rows in memory, the others one recording's.
    """
    if not members and len(blending.kernel) == 1 and blending.how != "rank":
        return list(results)

    def parts_of(number: int) -> list[FloatArray]:
        found = [_rows(results[number], classes)]
        for database in members:
            entry = database.find(jobs[number])
            if entry is not None:
                found.append(_rows(result_of(jobs[number], entry, database, classes), classes))
        # A longer window may end a row later.
        length = max(map(len, found))
        return [extended(part, length) for part in found]

    def segments_of(number: int) -> Iterator[FloatArray]:
        table = blended(parts_of(number), blending.how, power=blending.power)
        yield smoothed_over_time(table, blending.kernel)

    if blending.how != "rank" or not results:
        return [replace(result, segments=partial(segments_of, number)) for number, result in enumerate(results)]
    everything = [parts_of(number) for number in range(len(results))]
    # A model that failed on a recording ranks it as the first one does.
    columns = [
        np.concatenate([parts[k] if k < len(parts) else parts[0] for parts in everything])
        for k in range(max(map(len, everything)))
    ]
    ends = list(accumulate(len(parts[0]) for parts in everything))
    tables = np.split(blended(columns, "rank"), ends[:-1])
    return [
        replace(result, segments=partial(iter, [smoothed_over_time(table, blending.kernel)]))
        for result, table in zip(results, tables, strict=True)
    ]


def _rows(result: Result, classes: int) -> FloatArray:
    return np.concatenate([np.zeros((0, classes), np.float32), *result.segments()])
