"""`birdwatch merge`: writes the tables of a planned run from its workers' commits."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from time import monotonic

import click

from birdwatch.batch.members import Budget
from birdwatch.batch.prepared import prepare
from birdwatch.batch.progress import terminal_view
from birdwatch.batch.remote_outputs import check_remote_outputs
from birdwatch.batch.run import score_and_write
from birdwatch.batch.run_database import database_path
from birdwatch.cli.parameters import NamedPlace
from birdwatch.cli.run_request import notice
from birdwatch.cli.run_summary import print_summary
from birdwatch.cluster.commits import CommitStore
from birdwatch.cluster.folding import Folding
from birdwatch.cluster.plan import read_plan
from birdwatch.cluster.store_files import place_of

__all__ = ["merge"]


@click.command()
@click.argument("store", type=NamedPlace())
@click.option("--partial", is_flag=True, help="Write the tables now; recordings that are not scored yet are failures.")
def merge(store: Path | str, partial: bool) -> None:
    """Write the tables of the run planned in STORE, as one machine would have written them."""
    plan = read_plan(place_of(str(store)))
    jobs = list(plan.jobs)
    check_remote_outputs(plan.request.outputs, inputs={job.url for job in jobs})
    # An interrupted merge continues with the recordings that it has already read.
    prepared = prepare(replace(plan.request, resume=True), notice=notice)
    prepared = replace(prepared, parameters=dict(plan.parameters))
    folding = Folding(CommitStore(plan.store, plan.parameters), plan.cutting, prepared.scoring, partial)
    unlimited = Budget(0.0, 0.0, monotonic)
    summary = score_and_write(prepared, jobs, folding, budget=unlimited, notice=notice, view=terminal_view)
    if not any(outcome.fault for outcome in summary.outcomes):
        database_path(plan.request.outputs[0].path).unlink(missing_ok=True)
    for line in folding.differing():
        notice(f"birdwatch: warning: {line}")
    sys.exit(print_summary(summary, json_progress=False))
