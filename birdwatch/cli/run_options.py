"""The options of `birdwatch run` that are not settings, with their defaults and help."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from birdwatch.batch.jobs import Channel
from birdwatch.cli.parameters import FiniteRange
from birdwatch.tables.formats import FORMS

__all__ = ["run_options"]


if TYPE_CHECKING:
    ChannelParam = click.ParamType[Channel, object]
else:
    # Older releases of click have no type parameters at run time.
    ChannelParam = click.ParamType

# A batch is held in memory: larger ones take gigabytes.
MAX_BATCH = 4096


class ChannelType(ChannelParam):
    """`mix`, `each`, or a channel's number from 0 on."""

    name = "mix|each|0|1|..."

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Channel:
        """`mix`, `each` or the number."""
        if value == "mix":
            return "mix"
        if value == "each":
            return "each"
        if isinstance(value, str) and value.isdigit():
            return int(value)
        return self.fail(f"{value!r} is not a channel; expected mix, each, or a number from 0 on", param, ctx)


OPTIONS: tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...] = (
    click.argument("recordings", nargs=-1, required=True, type=click.Path()),
    click.option(
        "--out",
        "outs",
        multiple=True,
        type=click.Path(),
        help="A table to write; its suffix determines the format; may be repeated.",
    ),
    click.option(
        "--format", "formats", multiple=True, type=click.Choice(list(FORMS)), help="The format, whatever the suffix."
    ),
    click.option(
        "--template",
        type=click.Path(path_type=Path),
        help="A sample_submission.csv, for the order of rows and columns of --format kaggle.",
    ),
    click.option(
        "--blend-with",
        multiple=True,
        metavar="MODEL",
        help="Another model to blend in --format kaggle, the best first; may be repeated.",
    ),
    click.option(
        "--rows",
        type=click.Choice(["windows", "events"]),
        help="One row per window and species, or per event. [default: events for raven and audacity, else windows]",
    ),
    click.option(
        "--min-score",
        type=FiniteRange(0, 1),
        help="Keep rows of windows at or above this score. [default: the class's threshold]",
    ),
    click.option(
        "--channel",
        type=ChannelType(),
        default="mix",
        show_default=True,
        help="Downmix all channels to mono, score each, or score one.",
    ),
    click.option("--recursive/--no-recursive", default=True, show_default=True, help="Search folders recursively."),
    click.option(
        "--include", multiple=True, metavar="PATTERN", help="Only files in folders that match, such as '*.wav'."
    ),
    click.option(
        "--join", is_flag=True, help="Join consecutive files that a station saved with `record` to one recording."
    ),
    click.option("--since", help="Only recordings that began at this ISO 8601 time or later."),
    click.option("--until", help="Only recordings that began before this time; a date includes that day."),
    click.option("--start", help="Start of the recording, if its name and header have none."),
    click.option(
        "--timezone",
        default="UTC",
        show_default=True,
        help="Time zone of times without one: UTC, +02:00, Europe/Berlin.",
    ),
    click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Recordings scored at once."),
    click.option(
        "--batch", type=click.IntRange(1, MAX_BATCH), help="Windows per run of the network. [default: by provider]"
    ),
    click.option("--resume", is_flag=True, help="Continue an interrupted run; keep its run database for the next."),
    click.option("--dry-run", is_flag=True, help="Only list the recordings and estimate the cost."),
    click.option("--json-progress", is_flag=True, help="Progress as JSON lines on stdout, for programs."),
)


def run_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give `function` the argument and the options, in the order in which the help shows them."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function
