"""The commands for noisy-student rounds, their report, and the submission."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from birdwatch.cli.blend_options import blend_options, blending_of
from birdwatch.errors import ConfigError

from .options import given_settings, say, setting_options

__all__ = ["rounds", "student", "submit"]


@click.command()
@click.argument("last", type=click.Path(path_type=Path))
@click.option(
    "--round", "number", required=True, type=click.IntRange(min=1), help="Number of the round, from 1; sets the power."
)
@click.option("--soundscapes", required=True, type=click.Path(path_type=Path), help="Folder of unlabelled audio.")
@setting_options()
def student(last: Path, number: int, soundscapes: Path, **given: Any) -> None:
    """Run a noisy-student round: LAST's models pseudo-label the soundscapes, new networks are trained. Resumes."""
    from .student import student as run

    changes = given_settings(given)
    out = changes.pop("out", None)
    if not out:
        raise ConfigError("give the run folder of this round with --out")
    run(last, soundscapes, Path(out), number, changes, say=say)


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
def rounds(runs: tuple[Path, ...]) -> None:
    """Print a Markdown table of the out-of-fold metrics of RUNS, such as noisy-student rounds."""
    from .student import rounds_table

    for line in rounds_table(runs):
        say(line)


@click.command()
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--audio", required=True, type=click.Path(path_type=Path), help="Folder of the test soundscapes.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="csv to write.")
@click.option("--template", type=click.Path(path_type=Path), help="sample_submission.csv, for the rows to write.")
@click.option("--row-s", default=5.0, show_default=True, help="Seconds per row.")
@click.option("--hop-s", default=0.0, help="Seconds between windows; overlapping ones are averaged.  [row-s]")
@blend_options
def submit(models: tuple[Path, ...], row_s: float, **given: Any) -> None:
    """Score soundscapes with exported MODELS, best first, blended and smoothed, into a submission.

    As `birdwatch run --format kaggle`, but overlapping windows are averaged.
    """
    from .submit import SubmitOptions, write_submission

    further = tuple(str(path) for path in models[1:])
    blending = blending_of(given, further, overlap="mean", row_s=row_s)
    write_submission(SubmitOptions(models=models, blending=blending, **given), say=say)
