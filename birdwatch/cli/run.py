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
from birdwatch.batch.progress import json_view, terminal_view
from birdwatch.batch.request import RunRequest
from birdwatch.batch.run import RunInterrupted, named_inputs, open_inputs
from birdwatch.batch.run import run as run_request
from birdwatch.cli.blend_options import blend_options, blending_of
from birdwatch.cli.options import setting_options
from birdwatch.cli.run_options import run_options
from birdwatch.cli.run_summary import print_summary
from birdwatch.config.loading import Configuration
from birdwatch.config.schema import SCORING
from birdwatch.scores.blending import UNBLENDED, Blending
from birdwatch.tables.formats import Output, choose_outputs
from birdwatch.tables.result import Rows
from birdwatch.wording import audio_text, counted, printable

__all__ = ["run"]


@click.command()
@run_options
@blend_options
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
    settings = Configuration(config, {name: options.pop(name) for name in SCORING}).read().settings
    outputs = choose_outputs(outs, formats, rows)
    if options["template"] is not None and not any(output.form == "kaggle" for output in outputs):
        raise click.UsageError("--template orders the columns of --format kaggle; add it, or leave --template out")
    blending = blending_of(options, options.pop("blend_with"))
    _check_blending(blending, outputs)
    request = RunRequest(
        outputs=tuple(outputs),
        blending=blending,
        settings=settings,
        settings_files=() if config is None else (config,),
        **options,
    )
    if dry_run:
        _list(open_inputs(request, named_inputs(request, _notice), _notice))
        return
    # A service manager's stop is like the user's: both leave a run that can be resumed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        summary = run_request(request, notice=_notice, view=json_view if json_progress else terminal_view)
    except RunInterrupted as stop:
        click.echo(
            f"birdwatch: stopped; {stop.done} of {stop.total} recordings are scored and kept in {stop.path}; "
            "add --resume to continue",
            err=True,
        )
        sys.exit(130)
    sys.exit(print_summary(summary, json_progress=json_progress))


def _check_blending(blending: Blending, outputs: Sequence[Output]) -> None:
    kaggle = [output.form == "kaggle" for output in outputs]
    if blending != UNBLENDED and not any(kaggle):
        raise click.UsageError(
            "--blend-with, --blend, --blend-power, --overlap, --smooth and --budget are about the rows of "
            "--format kaggle; add it, or leave them out"
        )
    if blending.models and not all(kaggle):
        raise click.UsageError(
            "only the rows of --format kaggle are blended; the other tables are one model's: write them by another run"
        )


def _notice(line: str) -> None:
    click.echo(printable(line), err=True)


def _list(jobs: Sequence[Job]) -> None:
    """What `--dry-run` prints: tab-separated on stdout, the sum on stderr."""
    for job in jobs:
        began = "-" if job.start_utc_ns is None else utc_text(job.start_utc_ns)
        click.echo(f"{job.name}\t{job.path}\t{began}\t{job.duration_s:.3f}\t{job.fault or 'ok'}")
    bad = sum(job.fault is not None for job in jobs)
    audio = audio_text(sum(job.duration_s for job in jobs))
    click.echo(f"{counted(len(jobs), 'recording')}, {audio} of audio, {bad} of them cannot be read", err=True)
