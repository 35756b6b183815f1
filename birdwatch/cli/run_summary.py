"""The summary of a run: for people on stderr, for programs on stdout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from birdwatch.batch.progress import json_line
from birdwatch.batch.remote_outputs import errors_shown
from birdwatch.batch.run import RunSummary
from birdwatch.batch.run_database import Entry
from birdwatch.model.manifest import Manifest
from birdwatch.model.registry import species_hint
from birdwatch.wording import audio_text, counted, printable, speed_text

__all__ = ["print_failures", "print_summary", "print_warnings", "species_lines"]

# Species in the summary of a run; the tables have all of them.
SPECIES_SHOWN = 20
# Further warnings are only counted: a card full of truncated files must not print a thousand lines.
WARNINGS_SHOWN = 10


def print_summary(summary: RunSummary, *, json_progress: bool) -> int:
    """Print the result of a run on stderr and, for programs, on stdout; returns the exit code."""
    failed = sum(bool(outcome.fault) for outcome in summary.outcomes)
    warnings = [outcome.warning for outcome in summary.outcomes if outcome.warning]
    species, lines = species_lines(summary.entries, summary.manifest)
    state = summary.meter.snapshot()
    outputs = [output.shown for output in summary.request.outputs]
    print_warnings(warnings)
    resumed = f" ({summary.meter.resumed} of them before)" if summary.meter.resumed else ""
    # No speed if an earlier run has scored everything.
    speed = f" ({speed_text(state['times_real_time'])} times real time)" if summary.meter.done_s else ""
    warned = f", {len(warnings)} with a warning" if warnings else ""
    further = len(summary.request.blending.models)
    models = f"; {summary.models} of {further + 1} models" if further else ""
    click.echo(
        f"{counted(len(summary.entries), 'recording')}{resumed}, {audio_text(summary.meter.done_s)} of audio in "
        f"{state['elapsed_s']:.1f} s{speed} on {summary.provider}{warned}{models}; "
        f"{species} species; {', '.join(outputs)}",
        err=True,
    )
    for line in lines:
        click.echo(line, err=True)
    hint = species_hint(summary.request.settings.model, len(summary.manifest.labels))
    if hint is not None:
        click.echo(f"birdwatch: {hint}", err=True)
    code = 3 if failed else 0
    print_failures(failed, len(summary.wanted), errors_shown(summary.request.outputs[0]))
    if json_progress:
        json_line({"kind": "finished", **state, "species": species, "outputs": outputs, "exit_code": code})
    return code


def print_warnings(warnings: Sequence[str]) -> None:
    """A line on stderr for each of the first recordings with a warning, and the number of the others."""
    for warning in warnings[:WARNINGS_SHOWN]:
        click.echo(f"birdwatch: warning: {printable(warning)}", err=True)
    if more := len(warnings[WARNINGS_SHOWN:]):
        click.echo(f"birdwatch: warning: and {counted(more, 'more recording')}", err=True)


def print_failures(failed: int, total: int, errors: Path | str) -> None:
    """Print how many of `total` recordings failed, and where the reasons are, on stderr; nothing if none did."""
    if failed:
        click.echo(f"birdwatch: {failed} of {counted(total, 'recording')} failed, see {errors}", err=True)


def species_lines(entries: Sequence[Entry], manifest: Manifest) -> tuple[int, list[str]]:
    """The number of detected species, and lines for those with the highest scores: score, name, recordings."""
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
