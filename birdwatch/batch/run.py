"""A run over recordings: from a request to its tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from birdwatch._version import __version__
from birdwatch.atomic_write import check_writable, identities
from birdwatch.audio.isolated import Decoders
from birdwatch.audio.timestamps import parse_time, zone
from birdwatch.audio.types import FloatArray
from birdwatch.audio.windows import hop_frames_of
from birdwatch.batch.inputs import Input, find_inputs
from birdwatch.batch.jobs import IN_PROCESS, Job, Period, look_at, period_of
from birdwatch.batch.joining import joined
from birdwatch.batch.local_runner import Outcome
from birdwatch.batch.members import (
    Budget,
    View,
    blended_results,
    open_members,
    score_all,
    score_members,
    unscored,
)
from birdwatch.batch.progress import Meter
from birdwatch.batch.request import RunRequest
from birdwatch.batch.results import (
    describe_run,
    errors_path,
    filtered_path,
    result_of,
    write_errors,
    write_filtered,
)
from birdwatch.batch.run_database import Entry, RunDatabase, database_path
from birdwatch.batch.scoring import Scoring
from birdwatch.config.policy import scoring_policy
from birdwatch.config.schema import class_rules
from birdwatch.errors import ConfigError, SourceError
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.label_names import locale_names, untranslated
from birdwatch.model.manifest import Manifest
from birdwatch.model.registry import find_model
from birdwatch.scores.policy import ScoringPolicy
from birdwatch.tables.formats import write_output
from birdwatch.tables.result import Vocabulary
from birdwatch.tables.submission import Template, check_row_names, read_template
from birdwatch.wording import counted, listed

__all__ = ["RunInterrupted", "RunSummary", "named_inputs", "open_inputs", "run"]

Notice = Callable[[str], None]
# Names in a message.
SHOWN = 5


@dataclass(frozen=True, slots=True)
class _Tables:
    """What the tables are written from: the first model's database and those of the others, in words."""

    request: RunRequest
    database: RunDatabase
    members: Sequence[RunDatabase]
    words: Vocabulary
    parameters: dict[str, Any]
    floors: FloatArray
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


def named_inputs(request: RunRequest, notice: Notice) -> list[Input]:
    """The recordings that a request names, unopened. Raises ConfigError for lists, folders or times that are wrong."""
    period_of(request.since, request.until, zone(request.timezone))
    inputs = find_inputs(
        request.recordings,
        recursive=request.recursive,
        include=request.include,
        # A competition's test folder is empty while a notebook is saved: its template is then written as it is.
        allow_empty=request.template is not None,
        notice=notice,
    )
    if request.start is not None and len(inputs) > 1:
        raise ConfigError(f"--start is the start of one recording, and {len(inputs)} were named")
    read = identities([*(item.path for item in inputs), *_files_read(request)])
    for output in request.outputs:
        output.check(len(inputs), names=[item.name for item in inputs], inputs=read)
    if request.outputs:
        first = request.outputs[0].path
        models = range(1, len(request.blending.models) + 2)
        for beside in (errors_path(first), filtered_path(first), *(database_path(first, n) for n in models)):
            check_writable(beside, inputs=read)
    return inputs


def _files_read(request: RunRequest) -> list[Path]:
    """What a run reads beside recordings, as far as it is named by a path."""
    settings = request.settings
    lists = [name[1:] for name in request.recordings if name.startswith("@")]
    named = [request.template, settings.species, settings.locale, *lists, *request.settings_files]
    models = [find_model(name) for name in (settings.model, *request.blending.models)]
    return [*models, *(Path(name) for name in named if name is not None)]


def open_inputs(
    request: RunRequest, inputs: Sequence[Input], notice: Notice, decoders: Decoders = IN_PROCESS
) -> list[Job]:
    """Open each recording for its length, channels and start; the jobs that lie in the request's period."""
    where = zone(request.timezone)
    start_ns = None if request.start is None else parse_time(request.start, where)
    looked = look_at(inputs, channel=request.channel, default=where, start_utc_ns=start_ns, decoders=decoders)
    period = period_of(request.since, request.until, where)
    inside = _within([job for found in looked for job in found], period, notice)
    return joined(inside) if request.join else inside


def run(request: RunRequest, *, notice: Notice, view: View, clock: Callable[[], float] = monotonic) -> RunSummary:
    """Score what the request names and write its tables.

    notice: is called with lines for the user. view: shows progress. clock: seconds, for the budget. Raises
    RunInterrupted when it is stopped; what was scored can be resumed. Raises BirdwatchError for everything that ends a
    run; a recording that fails does not.
    """
    budget = Budget(request.blending.budget_s, clock(), clock)
    inputs = named_inputs(request, notice)
    # A single recording is decoded here: its crash costs no other, and starting a process costs a quarter of a second.
    with Decoders(min(request.jobs, len(inputs)) if len(inputs) > 1 else 0) as decoders:
        return _run(request, inputs, decoders, budget, notice, view)


def _run(
    request: RunRequest, inputs: Sequence[Input], decoders: Decoders, budget: Budget, notice: Notice, view: View
) -> RunSummary:
    template = None if request.template is None else read_template(request.template)
    classifier = _classifier(request, notice)
    manifest = classifier.manifest
    if template is not None:
        _warn_of_columns(template, manifest, notice)
    members = open_members(request, classifier)
    policy = scoring_policy(request.settings, classifier, week=request.settings.week)
    if policy.species is not None:
        notice(f"species filter: {policy.species}")
    hop_frames = hop_frames_of(request.settings.hop, manifest.window_frames, manifest.rate_hz)
    wanted = open_inputs(request, inputs, notice, decoders)
    if len(wanted) == 1 and wanted[0].fault is not None:
        raise SourceError(wanted[0].fault)
    keep_segments = any(output.form == "kaggle" for output in request.outputs)
    if keep_segments:
        check_row_names(job.name for job in wanted)
    parameters = _parameters(request, classifier, policy, hop_frames, keep_segments)
    path = database_path(request.outputs[0].path)
    meter: Meter | None = None
    try:
        floors = policy.floors(request.min_score)
        segment_s = request.blending.row_s or manifest.row_s
        scoring = Scoring(
            classifier,
            policy,
            request.settings.hop,
            floors,
            keep_segments,
            segment_s=segment_s,
            overlap=request.blending.overlap,
            decoders=decoders,
        )
        with ExitStack() as opened:
            database = opened.enter_context(RunDatabase(path, parameters, floors=floors, resume=request.resume))
            todo = unscored(wanted, database)
            meter = Meter(todo, resumed=len(wanted) - len(todo))
            outcomes = score_all(request, todo, scoring, database, meter, view)
            failed = [outcome for outcome in outcomes if outcome.fault]
            if len(wanted) == 1 and failed:
                database.remove()
                raise SourceError(failed[0].fault)
            others = score_members(
                request, members, wanted, scoring, parameters, budget, opened=opened, notice=notice, view=view
            )
            local = None if request.timezone == "UTC" else request.timezone
            words = Vocabulary(manifest, policy.thresholds, timezone=local, segment_s=segment_s)
            tables = _Tables(request, database, others, words, parameters, floors, template)
            entries = _write(tables, wanted, failed, notice)
            write_errors(request.outputs[0].path, failed)
            write_filtered(request.outputs[0].path, policy.species, manifest)
            for each in (database, *others):
                each.written()
                if not failed and not request.resume:
                    each.remove()
    except KeyboardInterrupt:
        done = 0 if meter is None else meter.done + meter.resumed
        raise RunInterrupted(done, len(wanted), path) from None
    return RunSummary(
        request, tuple(wanted), tuple(entries), tuple(outcomes), manifest, classifier.provider, meter, 1 + len(others)
    )


def _classifier(request: RunRequest, notice: Notice) -> OnnxClassifier:
    settings = request.settings
    path = find_model(settings.model)
    names = None if settings.locale is None else locale_names(settings.locale, path)
    classifier = OnnxClassifier(path, provider=settings.provider, batch_size=request.batch, names=names)
    if names is not None and (count := untranslated(classifier.manifest, names)):
        notice(f"birdwatch: without a name in {settings.locale}, and called as in the model: {count} species")
    return classifier


def _warn_of_columns(template: Template, manifest: Manifest, notice: Notice) -> None:
    strange = [column for column in template[0] if column not in set(manifest.codes)]
    if strange:
        notice(
            f"birdwatch: warning: {len(strange)} of {len(template[0])} columns of the template are no classes of the "
            f"model {manifest.name}; they are 0: {listed(strange, SHOWN)}"
        )


def _parameters(
    request: RunRequest, classifier: OnnxClassifier, policy: ScoringPolicy, hop_frames: int, keep_segments: bool
) -> dict[str, Any]:
    """What the results depend on: a run is resumed only with the same."""
    manifest, settings, species = classifier.manifest, request.settings, policy.species
    return {
        "birdwatch": __version__,
        "model": manifest.name,
        "model_sha256": classifier.sha256,
        "provider": classifier.provider,
        "hop_s": hop_frames / manifest.rate_hz,
        **{name: getattr(settings, name) for name in class_rules()},
        "class": {code: asdict(own) for code, own in sorted(settings.class_.items())},
        "min_score": request.min_score,
        "segments": [request.blending.overlap, request.blending.row_s or manifest.row_s] if keep_segments else None,
        "filter": None if species is None else {"reason": str(species), "sha256": species.sha256},
    }


def _within(found: list[Job], period: Period, notice: Notice) -> list[Job]:
    """The jobs whose start lies in the period; what cannot be read stays, so that it is reported."""
    inside = [job for job in found if job.fault is not None or job.start_utc_ns in period]
    unknown = sum(job.start_utc_ns is None for job in found if job.fault is None)
    if period != Period() and unknown:
        notice(
            f"birdwatch: without a known start, and left out by --since and --until: {counted(unknown, 'recording')}"
        )
    if period != Period() and all(job.fault is not None for job in inside):
        raise ConfigError(f"none of {len(found)} recordings began in that period; widen --since and --until")
    return inside


def _write(tables: _Tables, wanted: Sequence[Job], failed: Sequence[Outcome], notice: Notice) -> list[Entry]:
    request, database, words = tables.request, tables.database, tables.words
    bad = {outcome.job.key for outcome in failed}
    classes = len(words.manifest.labels)
    jobs, results, entries = [], [], []
    for job in wanted:
        entry = None if job.key in bad else database.find(job)
        if entry is not None:
            jobs.append(job)
            entries.append(entry)
            results.append(result_of(job, entry, database, classes, tables.floors))
    if any(output.form == "kaggle" for output in request.outputs):
        results = blended_results(jobs, results, tables.members, request.blending, classes)
    described = describe_run(results, failed, words, tables.parameters)
    for output in request.outputs:
        absent = write_output(output, results, words, run=described, template=tables.template)
        if absent:
            verbs = ("has", "it is") if len(absent) == 1 else ("have", "they are")
            rows = f"{counted(len(absent), 'row')} of {request.template}"
            notice(f"birdwatch: {rows} {verbs[0]} no recording; {verbs[1]} 0: {listed(absent, SHOWN)}")
    return entries
