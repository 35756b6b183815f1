"""Runs a request: scores its recordings and writes its tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Protocol

from birdwatch.audio.isolated import Decoders
from birdwatch.batch.jobs import Job
from birdwatch.batch.local_runner import Outcome, View, score_all
from birdwatch.batch.members import Budget, blended_results, open_members, score_members, unscored
from birdwatch.batch.prepared import Prepared, prepare
from birdwatch.batch.progress import Meter
from birdwatch.batch.remote_outputs import upload_outputs
from birdwatch.batch.request import RunRequest
from birdwatch.batch.results import (
    describe_run,
    result_of,
    write_errors,
    write_filtered,
)
from birdwatch.batch.run_database import Entry, RunDatabase, database_path
from birdwatch.batch.run_inputs import named_inputs, open_inputs
from birdwatch.errors import SourceError
from birdwatch.model.manifest import Manifest
from birdwatch.tables.formats import write_output
from birdwatch.tables.result import Vocabulary
from birdwatch.tables.submission import Template, check_row_names, read_template
from birdwatch.wording import counted, listed

__all__ = ["Engine", "RunInterrupted", "RunSummary", "run", "score_and_write", "score_here"]

Notice = Callable[[str], None]
# Names in a message.
SHOWN = 5


@dataclass(frozen=True, slots=True)
class _Tables:
    """What the tables are written from: the first model's database and those of the others."""

    plan: Prepared
    database: RunDatabase
    members: Sequence[RunDatabase]
    template: Template | None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The result of a run. entries: of all recordings that are scored, in order. outcomes: of this run's recordings.

    models: how many have a part in the tables.
    """

    request: RunRequest
    wanted: tuple[Job, ...]
    entries: tuple[Entry, ...]
    outcomes: tuple[Outcome, ...]
    manifest: Manifest
    provider: str
    meter: Meter
    models: int = 1


class RunInterrupted(KeyboardInterrupt):
    """The run was stopped; `done` of `total` recordings are in the run database at `path`."""

    def __init__(self, done: int, total: int, path: Path) -> None:
        super().__init__(f"{done} of {total} recordings are in {path}")
        self.done, self.total, self.path = done, total, path


class Engine(Protocol):
    """What has recordings scored into the run database: by this process, or by other machines."""

    def __call__(
        self, jobs: Sequence[Job], plan: Prepared, database: RunDatabase, meter: Meter, view: View
    ) -> list[Outcome]:
        """Have `jobs` scored, and say how each went, in their order."""


def score_here(jobs: Sequence[Job], plan: Prepared, database: RunDatabase, meter: Meter, view: View) -> list[Outcome]:
    """The engine of one machine: `request.jobs` recordings at once in this process."""
    return score_all(plan.request, jobs, plan.scoring, database, meter, view)


def run(
    request: RunRequest,
    *,
    notice: Notice,
    view: View,
    engine: Engine = score_here,
    clock: Callable[[], float] = monotonic,
) -> RunSummary:
    """Score what the request names and write its tables.

    notice: is called with lines for the user. view: shows progress. clock: seconds, for the budget. Raises
    RunInterrupted when it is stopped; what was scored can be resumed. Raises BirdwatchError for everything that ends a
    run; a recording that fails does not.
    """
    budget = Budget(request.blending.budget_s, clock(), clock)
    inputs = named_inputs(request, notice)
    # A single recording is decoded here: a crash affects no other, and starting a process takes a quarter of a second.
    with Decoders(min(request.jobs, len(inputs)) if len(inputs) > 1 else 0) as decoders:
        plan = prepare(request, notice=notice, decoders=decoders)
        wanted = open_inputs(request, inputs, notice, decoders)
        return score_and_write(plan, wanted, engine, budget=budget, notice=notice, view=view)


def score_and_write(
    plan: Prepared, wanted: Sequence[Job], engine: Engine, *, budget: Budget, notice: Notice, view: View
) -> RunSummary:
    """Have `engine` score what the run database lacks of `wanted`, and write the tables. Raises as `run` does."""
    request, scoring, manifest = plan.request, plan.scoring, plan.manifest
    template = None if request.template is None else read_template(request.template)
    if template is not None:
        _warn_of_template(template, manifest, notice)
    members = open_members(request, scoring.classifier)
    if len(wanted) == 1 and wanted[0].fault is not None:
        raise SourceError(wanted[0].fault)
    if scoring.keep_segments:
        check_row_names(job.name for job in wanted)
    path = database_path(request.outputs[0].path)
    meter: Meter | None = None
    try:
        with ExitStack() as opened:
            database = opened.enter_context(
                RunDatabase(path, plan.parameters, floors=scoring.floors, resume=request.resume)
            )
            todo = unscored(wanted, database)
            meter = Meter(todo, resumed=len(wanted) - len(todo))
            outcomes = engine(todo, plan, database, meter, view)
            failed = [outcome for outcome in outcomes if outcome.fault]
            if len(wanted) == 1 and failed:
                database.remove()
                raise SourceError(failed[0].fault)
            others = score_members(
                request, members, wanted, scoring, plan.parameters, budget, opened=opened, notice=notice, view=view
            )
            entries = _write(_Tables(plan, database, others, template), wanted, failed, notice)
            write_errors(request.outputs[0].path, failed)
            write_filtered(request.outputs[0].path, scoring.policy.species, manifest)
            upload_outputs(request.outputs)
            for each in (database, *others):
                each.written()
                if not failed and not request.resume:
                    each.remove()
    except KeyboardInterrupt:
        done = 0 if meter is None else meter.done + meter.resumed
        raise RunInterrupted(done, len(wanted), path) from None
    provider = scoring.classifier.provider
    return RunSummary(
        request, tuple(wanted), tuple(entries), tuple(outcomes), manifest, provider, meter, 1 + len(others)
    )


def _warn_of_template(template: Template, manifest: Manifest, notice: Notice) -> None:
    for kind, names in zip(("column", "row"), template, strict=True):
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            notice(f"birdwatch: warning: the template has {kind}s more than once: {listed(twice, SHOWN)}")
    strange = [column for column in template[0] if column not in set(manifest.codes)]
    if strange:
        notice(
            f"birdwatch: warning: {len(strange)} of {len(template[0])} columns of the template are no classes of the "
            f"model {manifest.name}; they are 0: {listed(strange, SHOWN)}"
        )


def _write(tables: _Tables, wanted: Sequence[Job], failed: Sequence[Outcome], notice: Notice) -> list[Entry]:
    plan, database, request = tables.plan, tables.database, tables.plan.request
    local = None if request.timezone == "UTC" else request.timezone
    thresholds = plan.scoring.policy.thresholds
    words = Vocabulary(plan.manifest, thresholds, timezone=local, segment_s=plan.segment_s)
    bad = {outcome.job.key for outcome in failed}
    classes = len(words.manifest.labels)
    jobs, results, entries = [], [], []
    for job in wanted:
        entry = None if job.key in bad else database.find(job)
        if entry is not None:
            jobs.append(job)
            entries.append(entry)
            results.append(result_of(job, entry, database, classes, plan.scoring.floors))
    if any(output.form == "kaggle" for output in request.outputs):
        results = blended_results(jobs, results, tables.members, request.blending, classes)
    described = describe_run(results, failed, words, plan.parameters)
    for output in request.outputs:
        absent = write_output(output, results, words, run=described, template=tables.template)
        if absent:
            verbs = ("has", "it is") if len(absent) == 1 else ("have", "they are")
            rows = f"{counted(len(absent), 'row')} of {request.template}"
            notice(f"birdwatch: {rows} {verbs[0]} no recording; {verbs[1]} 0: {listed(absent, SHOWN)}")
    return entries
