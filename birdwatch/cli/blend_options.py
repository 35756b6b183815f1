"""The options of what the rows of a competition's table are made of: further models, overlap, neighbours, a budget."""

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
        help="Rows of --format kaggle: the maximum of the windows that lie in them by half, or the mean of all that "
        f"overlap them, weighed by the shared time. [default: {UNBLENDED.overlap}]",
    ),
    "smooth": click.option(
        "--smooth", type=Kernel(), help="Weights over neighbouring rows of --format kaggle, such as .2/.6/.2."
    ),
    "blend": click.option(
        "--blend",
        type=click.Choice(get_args(Blend)),
        help=f"Of several models: the mean, a power mean, or the mean of ranks. [default: {UNBLENDED.how}]",
    ),
    "blend_power": click.option(
        "--blend-power", type=FiniteRange(0, min_open=True), help=f"Of --blend power. [default: {UNBLENDED.power:g}]"
    ),
    "budget": click.option(
        "--budget", type=Duration(), help="Time that may be taken, such as 85min: models are dropped, not the table."
    ),
}


def blend_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give `function` the options; `blending_of` takes their values."""
    for name in reversed(FIELDS):
        function = OPTIONS[name](function)
    return function


def blending_of(options: dict[str, Any], models: tuple[str, ...], **more: Any) -> Blending:
    """What the options, taken out of `options`, say; what was not given is the default, or what `more` says."""
    given = {
        "overlap": options.pop("overlap"),
        "kernel": options.pop("smooth"),
        "how": options.pop("blend"),
        "power": options.pop("blend_power"),
        "budget_s": options.pop("budget"),
    }
    return Blending(models=models, **more | {name: value for name, value in given.items() if value is not None})
