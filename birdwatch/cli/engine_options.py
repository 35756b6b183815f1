"""The options for where a run is scored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from birdwatch.cli.parameters import NamedPlace

__all__ = ["engine_options"]

OPTIONS: tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...] = (
    click.option(
        "--engine",
        type=click.Choice(["local", "dask"]),
        default="local",
        show_default=True,
        help="Score in this process, or on Dask workers.",
    ),
    click.option(
        "--cluster",
        type=click.Choice(["local", "slurm", "pbs", "sge"]),
        default="local",
        show_default=True,
        help="Where --engine dask starts its workers.",
    ),
    click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Dask workers to start."),
    click.option("--scheduler", help="A running Dask scheduler, such as tls://host:8786, instead of --cluster."),
    click.option(
        "--store",
        type=NamedPlace(),
        help="Folder or s3:// URL for scored recordings, which all workers can reach. [default: beside --out]",
    ),
)


def engine_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give `function` the options, in the order in which the help shows them."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function
