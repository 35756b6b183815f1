"""`birdwatch evaluate`: a table against somebody's labels."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import IO, cast

import click

from birdwatch.atomic_write import check_writable, written_beside
from birdwatch.evaluation.alignment import compare, read_predictions
from birdwatch.evaluation.annotations import read_truth
from birdwatch.evaluation.metrics import SpeciesScore, macro
from birdwatch.evaluation.metrics import evaluate as scores_of

__all__ = ["evaluate"]

COLUMNS = ("label", "positives", "true_positives", "false_positives", "precision", "recall", "average_precision", "auc")


@click.command()
@click.argument("table", type=click.Path(path_type=Path))
@click.option(
    "--truth", required=True, type=click.Path(path_type=Path), help="A csv of annotations, or a folder of Raven tables."
)
@click.option("--threshold", type=click.FloatRange(0, 1), help="Presence from here on. [default: the table's]")
@click.option("--segment", "segment_s", type=click.FloatRange(0, min_open=True), help="Seconds. [default: a window]")
@click.option("--out", type=click.Path(path_type=Path), help="Also write the figures to this csv.")
def evaluate(table: Path, truth: Path, threshold: float | None, segment_s: float | None, out: Path | None) -> None:
    """Judge TABLE, which `birdwatch run` wrote, by somebody's labels.

    Labels with times are compared segment by segment, labels without times recording by recording.
    """
    if out is not None:
        check_writable(out)
    units = compare(read_predictions(table, threshold), read_truth(truth), segment_s=segment_s)
    found = scores_of(units.labels, units.truth, units.scores, units.claimed)
    rows = [_row(score) for score in found]
    mean = macro(found)
    last = ("mean", "", "", "", *(_text(mean[name]) for name in COLUMNS[4:]))
    if out is not None:
        with written_beside(out) as stream:
            writer = csv.writer(cast(IO[str], stream), lineterminator="\n")
            writer.writerows((COLUMNS, *rows))
    widths = [max(len(row[number]) for row in (COLUMNS, *rows, last)) for number in range(len(COLUMNS))]
    for row in (COLUMNS, *rows, last):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        click.echo("  ".join(cells).rstrip())
    kind = "recordings" if len(units.truth) == units.recordings else f"segments of {units.recordings} recordings"
    click.echo(f"{len(units.truth)} {kind}; scores that the table does not list count as 0", err=True)
    if units.unlabelled:
        click.echo(f"birdwatch: {units.unlabelled} recordings of the table have no labels and are left out", err=True)
    if units.unknown:
        click.echo(
            f"birdwatch: {len(units.unknown)} labelled recordings are not in the table: {units.unknown[0]} ...",
            err=True,
        )


def _row(score: SpeciesScore) -> tuple[str, ...]:
    counts = (score.positives, score.true_positives, score.false_positives)
    shares = (score.precision, score.recall, score.average_precision, score.auc)
    return score.label, *map(str, counts), *map(_text, shares)


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
