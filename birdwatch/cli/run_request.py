"""Makes the request of `birdwatch run` and `birdwatch plan` from their options."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from birdwatch.batch.request import RunRequest
from birdwatch.cli.blend_options import blending_of
from birdwatch.config.loading import Configuration
from birdwatch.config.schema import SCORING
from birdwatch.scores.blending import UNBLENDED, Blending
from birdwatch.tables.formats import Output, choose_outputs
from birdwatch.tables.result import Rows
from birdwatch.wording import printable

__all__ = ["notice", "run_request"]


def run_request(
    outs: Sequence[str], formats: Sequence[str], rows: Rows | None, config: Path | None, options: dict[str, Any]
) -> RunRequest:
    """The request of a command line; `options` are those of `run_options`, `blend_options` and the settings.

    Raises ConfigError, and UsageError for options that do not go together.
    """
    settings = Configuration(config, {name: options.pop(name) for name in SCORING}).read().settings
    outputs = choose_outputs(outs, formats, rows)
    if options["template"] is not None and not any(output.form == "kaggle" for output in outputs):
        raise click.UsageError("--template orders the columns of --format kaggle; add it, or leave --template out")
    blending = blending_of(options, options.pop("blend_with"))
    _check_blending(blending, outputs)
    return RunRequest(
        outputs=tuple(outputs),
        blending=blending,
        settings=settings,
        settings_files=() if config is None else (config,),
        **options,
    )


def _check_blending(blending: Blending, outputs: Sequence[Output]) -> None:
    kaggle = [output.form == "kaggle" for output in outputs]
    if blending != UNBLENDED and not any(kaggle):
        raise click.UsageError(
            "--blend-with, --blend, --blend-power, --overlap, --smooth and --budget are about the rows of "
            "--format kaggle; add it, or leave them out"
        )
    if blending.models and not all(kaggle):
        raise click.UsageError(
            "only --format kaggle can be blended; write the other tables, which are of one model, with another run"
        )


def notice(line: str) -> None:
    """Print a line for the user on stderr."""
    click.echo(printable(line), err=True)
