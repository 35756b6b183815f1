"""The options for the rows of a competition's table: more models, overlap, neighbouring rows, a time budget."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import click

from birdwatch.cli.parameters import Duration, FiniteRange, Kernel
from birdwatch.scores.aggregation import Overlap
from birdwatch.scores.blending import UNBLENDED, Blend, Blending

__all__ = ["blend_options", "blending_of"]

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

FIELDS = ("overlap", "smooth", "blend", "blend_power", "budget")
OPTIONS: dict[str, Decorator] = {
    "overlap": click.option(
        "--overlap",
        type=click.Choice(get_args(Overlap)),
        help="Rows of --format kaggle: the maximum of the windows of which at least half lies in the row, or the mean "
        f"of all that overlap it, weighted by the overlap. [default: {UNBLENDED.overlap}]",
    ),
    "smooth": click.option(
        "--smooth", type=Kernel(), help="Weights over neighbouring rows of --format kaggle, such as .2/.6/.2."
    ),
    "blend": click.option(
        "--blend",
        type=click.Choice(get_args(Blend)),
        help=f"How to blend several models: mean, power mean, or mean of ranks. [default: {UNBLENDED.how}]",
    ),
    "blend_power": click.option(
        "--blend-power",
        type=FiniteRange(0, min_open=True),
        help=f"Exponent of --blend power. [default: {UNBLENDED.power:g}]",
    ),
    "budget": click.option(
        "--budget", type=Duration(), help="Time limit, such as 85min; models for which there is no time are left out."
    ),
}


def blend_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give `function` the options; `blending_of` takes their values."""
    for name in reversed(FIELDS):
        function = OPTIONS[name](function)
    return function


def blending_of(options: dict[str, Any], models: tuple[str, ...], **more: Any) -> Blending:
    """The blending of the options, which are removed from `options`; defaults are in `more`, else those of Blending."""
    given = {
        "overlap": options.pop("overlap"),
        "kernel": options.pop("smooth"),
        "how": options.pop("blend"),
        "power": options.pop("blend_power"),
        "budget_s": options.pop("budget"),
    }
    return Blending(models=models, **more | {name: value for name, value in given.items() if value is not None})
