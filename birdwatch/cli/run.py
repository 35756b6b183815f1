"""`birdwatch run`: recordings in, tables out."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from birdwatch.audio.timestamps import utc_text
from birdwatch.batch.jobs import Job
from birdwatch.batch.prepared import prepare
from birdwatch.batch.progress import json_view, terminal_view
from birdwatch.batch.request import RunRequest
from birdwatch.batch.run import Engine, RunInterrupted, score_here
from birdwatch.batch.run import run as run_batch
from birdwatch.batch.run_inputs import named_inputs, open_inputs
from birdwatch.cli.blend_options import blend_options
from birdwatch.cli.engine_options import engine_options
from birdwatch.cli.estimates import estimate_line
from birdwatch.cli.options import setting_options
from birdwatch.cli.run_options import run_options
from birdwatch.cli.run_request import notice, run_request
from birdwatch.cli.run_summary import print_summary
from birdwatch.config.schema import SCORING
from birdwatch.tables.result import Rows
from birdwatch.wording import audio_text, counted, verb

__all__ = ["run"]


@click.command()
@run_options
@blend_options
@engine_options
@setting_options(*SCORING)
def run(
    outs: tuple[str, ...],
    formats: tuple[str, ...],
    rows: Rows | None,
    dry_run: bool,
    json_progress: bool,
    config: Path | None,
    **options: Any,
) -> None:
    """Score RECORDINGS and write tables of their detections.

    RECORDINGS are files, folders, @list.txt (one path per line), or - for such a list on stdin.
    """
    if not outs and not dry_run:
        raise click.UsageError("Missing option '--out'; name a table to write, such as --out sub.csv, or add --dry-run")
    where = {name: options.pop(name) for name in ("engine", "cluster", "workers", "scheduler", "store")}
    request = run_request(outs, formats, rows, config, options)
    if dry_run:
        jobs = open_inputs(request, named_inputs(request, notice), notice)
        _list(jobs)
        workers = where["workers"] if where["engine"] == "dask" else 1
        notice(estimate_line(jobs, lambda: prepare(request, notice=notice), workers))
        return
    # SIGTERM, as from a service manager, stops like Ctrl-C: the run can be resumed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    view = json_view if json_progress else terminal_view
    try:
        summary = run_batch(request, notice=notice, view=view, engine=_engine(request, **where))
    except RunInterrupted as stop:
        click.echo(
            f"birdwatch: stopped; {stop.done} of {counted(stop.total, 'recording')} "
            f"{verb(stop.done, 'is', 'are')} scored and saved in {stop.path}; "
            "add --resume to continue",
            err=True,
        )
        sys.exit(130)
    sys.exit(print_summary(summary, json_progress=json_progress))


def _engine(
    request: RunRequest, *, engine: str, cluster: Any, workers: int, scheduler: str | None, store: Path | str | None
) -> Engine:
    if engine == "local":
        if scheduler is not None or store is not None:
            raise click.UsageError("--scheduler and --store are for --engine dask; add it, or leave them out")
        return score_here
    if request.blending.models:
        raise click.UsageError("--blend-with is for --engine local; blend on one machine, or leave it out")
    from birdwatch.cluster.dask_engine import DaskEngine
    from birdwatch.cluster.store_files import checked_place

    first = request.outputs[0]
    beside = first.url + ".store" if first.url else first.path.with_name(first.path.name + ".store")
    return DaskEngine(checked_place(store or beside), cluster, workers, scheduler, notice)


def _list(jobs: Sequence[Job]) -> None:
    """What `--dry-run` prints: tab-separated on stdout, the sum on stderr."""
    for job in jobs:
        began = "-" if job.start_utc_ns is None else utc_text(job.start_utc_ns)
        click.echo(f"{job.name}\t{job.url or job.path}\t{began}\t{job.duration_s:.3f}\t{job.fault or 'ok'}")
    bad = sum(job.fault is not None for job in jobs)
    audio = audio_text(sum(job.duration_s for job in jobs))
    click.echo(f"{counted(len(jobs), 'recording')}, {audio} of audio, {bad} of them cannot be read", err=True)
