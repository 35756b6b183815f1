"""The summary of a run: for people on stderr, for programs on stdout."""

from __future__ import annotations

from collections.abc import Sequence

import click
import numpy as np

from birdwatch.batch.progress import json_line
from birdwatch.batch.results import errors_path
from birdwatch.batch.run import RunSummary
from birdwatch.batch.run_database import Entry
from birdwatch.model.manifest import Manifest
from birdwatch.wording import counted, speed_text

__all__ = ["print_summary", "species_lines"]

# The tables hold all species; at the end of a run these are enough.
SPECIES_SHOWN = 20
# Warnings beyond these are only counted: a card full of cut-off files needs one look, not a thousand lines.
WARNINGS_SHOWN = 10


def print_summary(summary: RunSummary, *, json_progress: bool) -> int:
    """Print the result of a run on stderr and, for programs, on stdout; returns the exit code."""
    failed = sum(bool(outcome.fault) for outcome in summary.outcomes)
    warnings = [outcome.warning for outcome in summary.outcomes if outcome.warning]
    species, lines = species_lines(summary.entries, summary.manifest)
    state = summary.meter.snapshot()
    outputs = [str(output.path) for output in summary.request.outputs]
    for warning in warnings[:WARNINGS_SHOWN]:
        click.echo(f"birdwatch: warning: {warning}", err=True)
    if len(warnings) > WARNINGS_SHOWN:
        click.echo(f"birdwatch: warning: and {len(warnings) - WARNINGS_SHOWN} more recordings", err=True)
    resumed = f" ({summary.meter.resumed} of them before)" if summary.meter.resumed else ""
    # Nothing was scored where an earlier run has done it all.
    speed = f" ({speed_text(state['times_real_time'])} times real time)" if summary.meter.done_s else ""
    warned = f", {len(warnings)} with a warning" if warnings else ""
    click.echo(
        f"{counted(len(summary.entries), 'recording')}{resumed}, {summary.meter.done_s / 3600:.3f} h of audio in "
        f"{state['elapsed_s']:.1f} s{speed} on {summary.provider}{warned}; "
        f"{species} species; {', '.join(outputs)}",
        err=True,
    )
    for line in lines:
        click.echo(line, err=True)
    code = 3 if failed else 0
    if failed:
        errors = errors_path(summary.request.outputs[0].path)
        click.echo(f"birdwatch: {failed} of {len(summary.wanted)} recordings failed, see {errors}", err=True)
    if json_progress:
        json_line({"kind": "finished", **state, "species": species, "outputs": outputs, "exit_code": code})
    return code


def species_lines(entries: Sequence[Entry], manifest: Manifest) -> tuple[int, list[str]]:
    """How many species were found, and for the most certain a line: best score, name, in how many recordings."""
    best = np.zeros(len(manifest.labels), np.float32)
    count = np.zeros(len(manifest.labels), np.int64)
    for entry in entries:
        labels = entry.present["label"]
        best[labels] = np.maximum(best[labels], entry.present["score"])
        count[labels] += 1
    order = sorted(np.flatnonzero(count).tolist(), key=lambda label: (-best[label], label))
    lines = [
        f"  {best[label]:.2f}  {manifest.labels[label].common_name or manifest.labels[label].code}  in {count[label]}"
        for label in order[:SPECIES_SHOWN]
    ]
    if len(order) > SPECIES_SHOWN:
        lines.append(f"  and {len(order) - SPECIES_SHOWN} more")
    return len(order), lines
