"""`birdwatch evaluate`: compares a table with ground truth."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import IO, cast, get_args

import click
import numpy as np
import numpy.typing as npt

from birdwatch.atomic_write import identities
from birdwatch.cli.parameters import FiniteRange, NamedPath
from birdwatch.errors import ConfigError
from birdwatch.evaluation.alignment import Units, Unmatched, compare
from birdwatch.evaluation.annotations import read_truth, truth_files
from birdwatch.evaluation.bootstrap import group_interval
from birdwatch.evaluation.calibration import expected_calibration_error, reliability
from birdwatch.evaluation.class_names import ClassNames
from birdwatch.evaluation.metrics import SpeciesScore, macro_scores
from birdwatch.evaluation.metrics import evaluate as scores_of
from birdwatch.evaluation.predictions import read_predictions
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.registry import find_model
from birdwatch.tables.cells import write_csv
from birdwatch.tables.own_files import check_replaceable, table_beside
from birdwatch.tables.reading import table_files
from birdwatch.wording import counted

__all__ = ["evaluate"]

# Of the resampling, so that the same table gives the same intervals.
SEED, ROUNDS = 20, 200
COLUMNS = ("label", "positives", "true_positives", "false_positives", "precision", "recall", "average_precision", "auc")


@click.command()
@click.argument("table", type=NamedPath())
@click.option(
    "--truth",
    required=True,
    type=NamedPath(),
    help="A file of labels (csv, Raven, Audacity, Kaleidoscope, BirdNET-Analyzer), or a folder with one per recording.",
)
@click.option("--threshold", type=FiniteRange(0, 1), help="Detection threshold of all classes. [default: the table's]")
@click.option(
    "--segment",
    "segment_s",
    type=FiniteRange(0, min_open=True),
    help="Length of a segment, in seconds. [default: a window]",
)
@click.option(
    "--model",
    type=click.Path(),
    help="The model whose label names the ground truth uses. [default: TABLE's, else the built-in one]",
)
@click.option(
    "--unknown-labels",
    type=click.Choice(get_args(Unmatched)),
    default="refuse",
    show_default=True,
    help="Labels that match no class: an error, left out, or counted as missed species.",
)
@click.option(
    "--unknown-recordings",
    type=click.Choice(get_args(Unmatched)),
    help="Labelled recordings that TABLE lacks. [default: ignore; refuse where TABLE lists only detections]",
)
@click.option("--out", type=NamedPath(), help="Also write the figures to this csv.")
@click.option("--intervals", is_flag=True, help="95 % intervals of the means, by resampling recordings.")
@click.option(
    "--reliability",
    "diagram",
    type=NamedPath(),
    help="Also write a reliability diagram (csv) and print the expected calibration error.",
)
def evaluate(
    table: Path,
    truth: Path,
    threshold: float | None,
    segment_s: float | None,
    model: str | None,
    unknown_labels: Unmatched,
    unknown_recordings: Unmatched | None,
    out: Path | None,
    intervals: bool,
    diagram: Path | None,
) -> None:
    """Evaluate TABLE, written by `birdwatch run`, against ground truth.

    Labels with times are compared by segment, labels without times by recording.
    """
    for file in filter(None, (out, diagram)):
        check_replaceable(file, inputs=identities([*table_files(table), *truth_files(truth)]))
    if out is not None and diagram is not None and out.resolve() == diagram.resolve():
        raise ConfigError(f"--out and --reliability name the same file, {out}; give each its own")
    predictions = read_predictions(table, threshold)
    # Only Parquet has the names of all classes; a csv has those that were detected, a submission has no names.
    if model is not None or not (table.is_dir() or table.suffix.lower() == ".parquet"):
        names = _with_model(predictions.names, model)
        predictions = replace(predictions, names=names)
    units = compare(
        predictions,
        read_truth(truth),
        segment_s=segment_s,
        unknown_labels=unknown_labels,
        unknown_recordings=unknown_recordings,
    )
    found = scores_of(units.labels, units.truth, units.scores, units.claimed)
    rows = [_row(score) for score in found]
    mean = macro_scores(found)
    last = ("mean", "", "", "", *(_text(mean[name]) for name in COLUMNS[4:]))
    if out is not None:
        with table_beside(out) as stream:
            write_csv(cast(IO[str], stream), (COLUMNS, *rows))
    widths = [max(len(row[number]) for row in (COLUMNS, *rows, last)) for number in range(len(COLUMNS))]
    for row in (COLUMNS, *rows, last):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        click.echo("  ".join(cells).rstrip())
    _say(units)
    if intervals:
        click.echo(f"95 % intervals over {units.recordings} recordings: {_intervals(units)}", err=True)
    if diagram is not None:
        error = _write_reliability(units, diagram)
        click.echo(f"expected calibration error {error:.4f}; {diagram}", err=True)


def _intervals(units: Units) -> str:
    """The intervals of the printed means, in one line."""
    told = []
    for name in COLUMNS[4:]:

        def mean(rows: npt.NDArray[np.intp], name: str = name) -> float:
            value = macro_scores(scores_of(units.labels, units.truth[rows], units.scores[rows], units.claimed[rows]))[
                name
            ]
            return float("nan") if value is None else value

        told.append(f"{name} {group_interval(units.names, mean, seed=SEED, rounds=ROUNDS)}")
    return ", ".join(told)


def _write_reliability(units: Units, path: Path) -> float:
    """The diagram over all classes and units as a csv; returns the expected calibration error."""
    found = reliability(units.truth, units.scores)
    with table_beside(path) as stream:
        writer = csv.writer(cast(IO[str], stream), lineterminator="\n")
        writer.writerow(("from", "to", "forecasts", "mean_score", "observed"))
        for low, high, count, mean, observed in zip(
            found.edges[:-1], found.edges[1:], found.count, found.mean_score, found.observed, strict=True
        ):
            shares = (f"{mean:.6f}", f"{observed:.6f}") if count else ("", "")
            writer.writerow((f"{low:.2f}", f"{high:.2f}", count, *shares))
    return expected_calibration_error(found)


def _with_model(names: ClassNames, model: str | None) -> ClassNames:
    """Add the names of a model's classes: without `--model` the built-in one's, if it has all classes of the table."""
    if model is None and not names.codes:
        return names
    manifest = OnnxClassifier(find_model(model), provider="cpu").manifest
    lacking = sorted(names.codes - set(manifest.codes))
    if lacking and model is not None:
        raise ConfigError(f"the model {model} lacks {lacking[0]!r}, a class of the table; name the model that made it")
    if lacking:
        return names
    return names.extended((label.code, label.scientific_name, label.common_name) for label in manifest.labels)


def _say(units: Units) -> None:
    """Print what was compared, and what was left out, on stderr."""
    recordings = counted(units.recordings, "recording")
    by_segment = len(units.truth) != units.recordings
    compared = f"{counted(len(units.truth), 'segment')} of {recordings}" if by_segment else recordings
    click.echo(f"{compared}; scores that the table does not list count as 0", err=True)
    if units.unlabelled:
        verb = "has no labels and is" if units.unlabelled == 1 else "have no labels and are"
        click.echo(f"birdwatch: {counted(units.unlabelled, 'recording')} of the table {verb} left out", err=True)
    if units.unknown:
        word, verb = ("recording", "is") if len(units.unknown) == 1 else ("recordings", "are")
        names = ", ".join(units.unknown[:5]) + (" ..." if len(units.unknown) > 5 else "")
        click.echo(f"birdwatch: {len(units.unknown)} labelled {word} {verb} not in the table: {names}", err=True)
    if units.ignored:
        told = ", ".join(f"{name} ({count})" for name, count in sorted(units.ignored.items()))
        click.echo(f"birdwatch: labels that match no class were left out: {told}", err=True)
    if units.late * 2 > units.timed:
        click.echo(
            f"birdwatch: {units.late} of the {counted(units.timed, 'label')} begin after the last row of their "
            "recording; times are seconds since the recording began, not milliseconds or the time of day",
            err=True,
        )


def _row(score: SpeciesScore) -> tuple[str, ...]:
    counts = (score.positives, score.true_positives, score.false_positives)
    shares = (score.precision, score.recall, score.average_precision, score.auc)
    return score.label, *map(str, counts), *map(_text, shares)


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
