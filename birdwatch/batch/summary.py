"""What a run says when it is done: to people on stderr, to programs on stdout."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress

import click
import numpy as np

from birdwatch.batch.jobs import Job
from birdwatch.batch.local_runner import Outcome
from birdwatch.batch.progress import Meter
from birdwatch.batch.results import errors_path
from birdwatch.batch.run_database import Entry, Journal
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.manifest import Manifest
from birdwatch.tables.formats import Output

__all__ = ["species_lines", "summarise"]

# More lines than this nobody reads at the end of a run; the tables hold them all.
SPECIES_SHOWN = 20
# Warnings beyond these are only counted: a card full of cut-off files needs one look, not a thousand lines.
WARNINGS_SHOWN = 10


def summarise(
    outputs: Sequence[Output],
    wanted: Sequence[Job],
    outcomes: Sequence[Outcome],
    journal: Journal,
    classifier: OnnxClassifier,
    meter: Meter,
    *,
    json_progress: bool,
) -> int:
    """Say what came out, on stderr and, for programs, on stdout; returns the exit code."""
    failed = sum(bool(outcome.fault) for outcome in outcomes)
    warnings = [outcome.warning for outcome in outcomes if outcome.warning]
    entries = [entry for job in wanted if (entry := journal.find(job)) is not None]
    species, lines = species_lines(entries, classifier.manifest)
    state = meter.snapshot()
    paths = ", ".join(str(output.path) for output in outputs)
    for warning in warnings[:WARNINGS_SHOWN]:
        click.echo(f"birdwatch: warning: {warning}", err=True)
    if len(warnings) > WARNINGS_SHOWN:
        click.echo(f"birdwatch: warning: and {len(warnings) - WARNINGS_SHOWN} recordings more", err=True)
    resumed = f" ({meter.resumed} of them before)" if meter.resumed else ""
    word = "recording" if len(entries) == 1 else "recordings"
    warned = f", {len(warnings)} with a warning" if warnings else ""
    click.echo(
        f"{len(entries)} {word}{resumed}, {meter.done_s / 3600:.3f} h of audio in {state['elapsed_s']:.1f} s "
        f"({state['times_real_time']:.0f} times real time) on {classifier.provider}{warned}; "
        f"{species} species; {paths}",
        err=True,
    )
    for line in lines:
        click.echo(line, err=True)
    code = 3 if failed else 0
    if failed:
        errors = errors_path(outputs[0].path)
        click.echo(f"birdwatch: {failed} of {len(wanted)} recordings failed, see {errors}", err=True)
    if json_progress:
        with suppress(BrokenPipeError):
            last = {"kind": "finished", **state, "species": species, "outputs": [str(o.path) for o in outputs]}
            print(json.dumps({**last, "exit_code": code}), flush=True)
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
