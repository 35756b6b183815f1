"""`birdwatch run`: recordings in, tables out. The options, and the order in which a run goes about its work."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from birdwatch._version import __version__
from birdwatch.audio.timestamps import parse_time, utc_text, zone
from birdwatch.audio.windows import hop_frames_of
from birdwatch.batch.inputs import find_inputs
from birdwatch.batch.jobs import Channel, Job, Period, look_at, period_of
from birdwatch.batch.local_runner import Outcome, score_jobs
from birdwatch.batch.progress import Meter, json_view, terminal_view
from birdwatch.batch.results import describe_run, result_of, write_errors, write_filtered
from birdwatch.batch.run_database import Journal, journal_path
from birdwatch.batch.scoring import Scoring
from birdwatch.batch.summary import summarise
from birdwatch.cli.run_options import run_options
from birdwatch.cli.species_options import SpeciesChoice, species_options
from birdwatch.errors import ConfigError, SourceError
from birdwatch.model.classifier import OnnxClassifier, Provider
from birdwatch.model.registry import find_model
from birdwatch.process import cores
from birdwatch.scores.aggregation import thresholds
from birdwatch.tables.formats import Output, choose_outputs, write_output
from birdwatch.tables.result import Vocabulary
from birdwatch.tables.submission import check_row_names, read_template

__all__ = ["run"]


@click.command()
@run_options
@species_options
def run(
    recordings: tuple[str, ...],
    outs: tuple[str, ...],
    formats: tuple[str, ...],
    template: Path | None,
    model: str | None,
    hop_s: float | None,
    threshold: float | None,
    min_score: float | None,
    channel: Channel,
    recursive: bool,
    include: tuple[str, ...],
    since: str | None,
    until: str | None,
    start: str | None,
    timezone: str,
    jobs: int,
    batch: int | None,
    resume: bool,
    dry_run: bool,
    json_progress: bool,
    provider: Provider,
    choice: SpeciesChoice,
) -> None:
    """Score RECORDINGS and write tables of what is in them.

    RECORDINGS are files, folders, @list.txt (one path a line), or - for such a list on stdin.
    """
    if not outs and not dry_run:
        raise click.UsageError("Missing option '--out'; name a table to write, such as --out sub.csv, or add --dry-run")
    outputs = choose_outputs(outs, formats)
    if template is not None and not any(output.form == "kaggle" for output in outputs):
        raise click.UsageError("--template orders the columns of --format kaggle; add it, or leave --template out")
    where = zone(timezone)
    period = period_of(since, until, where)
    inputs = find_inputs(recordings, recursive=recursive, include=include)
    if start is not None and len(inputs) > 1:
        raise click.UsageError(f"--start is the start of one recording, and {len(inputs)} were named")
    for output in outputs:
        output.check(len(inputs))
    order = read_template(template) if template is not None else None
    start_ns = None if start is None else parse_time(start, where)
    looked = look_at(inputs, channel=channel, default=where, start_utc_ns=start_ns)
    if dry_run:
        _list(_within([job for found in looked for job in found], period))
        return

    classifier = OnnxClassifier(find_model(model), provider=provider, batch_size=batch)
    species = choice.apply(classifier)
    manifest = classifier.manifest
    hop_frames = hop_frames_of(hop_s, manifest.window_frames, manifest.rate_hz)
    limits = thresholds(manifest, threshold)
    floors = limits if min_score is None else np.full_like(limits, min_score)
    if species is not None:
        # Their scores are 0; with this a threshold of 0 lets none of them through either.
        limits, floors = species.applied(limits), species.applied(floors)
    wanted = _within([job for found in looked for job in found], period)
    if len(wanted) == 1 and wanted[0].fault is not None:
        raise SourceError(wanted[0].fault)
    keep_segments = any(output.form == "kaggle" for output in outputs)
    if keep_segments:
        check_row_names(job.name for job in wanted)
    parameters: dict[str, Any] = {
        "birdwatch": __version__,
        "model": manifest.name,
        "model_sha256": classifier.sha256,
        "provider": classifier.provider,
        "hop_s": hop_frames / manifest.rate_hz,
        "threshold": threshold,
        "min_score": min_score,
        "segments": keep_segments,
        "filter": None if species is None else {"reason": str(species), "sha256": species.sha256},
    }
    scoring = Scoring(classifier, hop_s, limits, floors, keep_segments)
    first = outputs[0].path
    # A service manager's stop is as good as the user's: both leave a journal to go on from.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    meter: Meter | None = None
    try:
        with Journal(journal_path(first), parameters, resume=resume) as journal:
            todo = [job for job in wanted if job.fault is not None or journal.find(job) is None]
            meter = Meter(todo, resumed=len(wanted) - len(todo))
            at_once = min(jobs, max(1, len(todo)))
            if classifier.provider == "CPUExecutionProvider":
                # Recordings side by side share the cores; each keeps at least one.
                classifier.workers = max(1, -(-cores() // at_once))
            view = json_view if json_progress else terminal_view
            with view(meter) as show:
                outcomes = score_jobs(todo, scoring, journal, meter, at_once=at_once, show=show)
            failed = [outcome for outcome in outcomes if outcome.fault]
            if len(wanted) == 1 and failed:
                journal.remove()
                raise SourceError(failed[0].fault)
            _write(outputs, wanted, failed, journal, Vocabulary(manifest, limits), parameters, order, template)
            write_errors(first, failed)
            write_filtered(first, species, manifest)
            journal.written()
            code = summarise(outputs, wanted, outcomes, journal, classifier, meter, json_progress=json_progress)
            if not failed and not resume:
                journal.remove()
    except KeyboardInterrupt:
        done = 0 if meter is None else meter.done + meter.resumed
        click.echo(
            f"birdwatch: stopped; {done} of {len(wanted)} recordings are scored and kept in {journal_path(first)}; "
            "add --resume to go on",
            err=True,
        )
        code = 130
    sys.exit(code)


def _within(found: list[Job], period: Period) -> list[Job]:
    """The jobs whose start lies in the period; what cannot be read stays, so that it is reported."""
    inside = [job for job in found if job.fault is not None or job.start_utc_ns in period]
    unknown = sum(job.start_utc_ns is None for job in found if job.fault is None)
    if period != Period() and unknown:
        click.echo(
            f"birdwatch: {unknown} recordings do not say when they began; --since and --until leave them out", err=True
        )
    if period != Period() and all(job.fault is not None for job in inside):
        raise ConfigError(f"none of {len(found)} recordings began in that period; widen --since and --until")
    return inside


def _list(jobs: Sequence[Job]) -> None:
    """What `--dry-run` shows: tab-separated on stdout, the sum on stderr."""
    for job in jobs:
        began = "-" if job.start_utc_ns is None else utc_text(job.start_utc_ns)
        said = job.fault or "ok"
        click.echo(f"{job.name}\t{job.path}\t{began}\t{job.duration_s:.3f}\t{said}")
    bad = sum(job.fault is not None for job in jobs)
    hours = sum(job.duration_s for job in jobs) / 3600
    click.echo(f"{len(jobs)} recordings, {hours:.3f} h of audio, {bad} of them cannot be read", err=True)


def _write(
    outputs: Sequence[Output],
    wanted: Sequence[Job],
    failed: Sequence[Outcome],
    journal: Journal,
    words: Vocabulary,
    parameters: dict[str, Any],
    order: tuple[list[str], list[str]] | None,
    template: Path | None,
) -> None:
    bad = {outcome.job.key for outcome in failed}
    results = []
    for job in wanted:
        entry = None if job.key in bad else journal.find(job)
        if entry is not None:
            results.append(result_of(job, entry, journal, words.manifest))
    described = describe_run(results, failed, words.manifest, parameters)
    for output in outputs:
        absent = write_output(output, results, words, run=described, template=order)
        if absent:
            click.echo(f"birdwatch: {len(absent)} rows of {template} have no recording; they are 0", err=True)
