"""`birdwatch plan`: plans a run for `work` on any number of machines and `merge`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from birdwatch.audio.isolated import Decoders
from birdwatch.batch.job_list import JobList
from birdwatch.batch.prepared import prepare
from birdwatch.batch.run_inputs import named_inputs, opened_inputs
from birdwatch.cli.blend_options import blend_options
from birdwatch.cli.estimates import estimate_line
from birdwatch.cli.options import setting_options
from birdwatch.cli.parameters import NamedPlace
from birdwatch.cli.run_options import run_options
from birdwatch.cli.run_request import notice, run_request
from birdwatch.cluster.plan import write_plan
from birdwatch.cluster.sections import cutting_of
from birdwatch.cluster.store_files import checked_place
from birdwatch.config.schema import SCORING
from birdwatch.tables.result import Rows
from birdwatch.wording import audio_text, counted

__all__ = ["plan"]


@click.command()
@run_options
@blend_options
@click.option(
    "--store",
    type=NamedPlace(),
    required=True,
    help="Folder or s3:// URL for the plan and the scores; all workers must reach it under this name.",
)
@setting_options(*SCORING)
def plan(
    outs: tuple[str, ...],
    formats: tuple[str, ...],
    rows: Rows | None,
    dry_run: bool,
    json_progress: bool,
    store: Path | str,
    config: Path | None,
    **options: Any,
) -> None:
    """Plan a run over RECORDINGS on several machines; the options are those of `run`.

    Then `birdwatch work STORE` on each machine, and `birdwatch merge STORE` writes the tables.
    """
    if not outs:
        raise click.UsageError("Missing option '--out'; name the table that `birdwatch merge` will write")
    if json_progress:
        raise click.UsageError("--json-progress is for `birdwatch run`; a plan has no progress to show")
    request = run_request(outs, formats, rows, config, options)
    if request.blending.models:
        raise click.UsageError("--blend-with is for `birdwatch run`; a plan has one model")
    place = checked_place(store)
    inputs = named_inputs(request, notice)
    with Decoders(request.jobs) as decoders:
        prepared = prepare(request, notice=notice, decoders=decoders)
        jobs = JobList(opened_inputs(request, inputs, notice, decoders))
    with jobs:
        audio = audio_text(sum(job.duration_s for job in jobs))
        if dry_run:
            click.echo(f"{counted(len(jobs), 'recording')}, {audio} of audio; nothing was written", err=True)
            notice(estimate_line(jobs, lambda: prepare(request, notice=notice), 1))
            return
        cutting = cutting_of(prepared.scoring, jobs)
        written = write_plan(place, request, prepared.parameters, jobs, cutting)
    click.echo(
        f"{store}: {counted(len(jobs), 'recording')}, {audio} of audio in {counted(len(written.units), 'unit')}; run "
        f"`birdwatch work {store}` on each machine, or `--shard $SLURM_ARRAY_TASK_ID/N` in N jobs",
        err=True,
    )
