"""`birdwatch doctor`: is everything there that listening needs?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from birdwatch.cli.options import setting_options
from birdwatch.config.loading import Configuration
from birdwatch.live.doctor import findings

__all__ = ["doctor"]

_MARKS = {
    "fine": click.style("ok  ", fg="green"),
    "warns": click.style("look", fg="yellow"),
    "stops": click.style("STOP", fg="red", bold=True),
}


@click.command()
@setting_options()
def doctor(config: Path | None, **options: Any) -> None:
    """Check sound, device, model, speed, ports and disk as `birdwatch listen` would use them, and say what to do.

    Takes the options of `birdwatch listen`. Exit code 1 where something would keep it from listening.
    """
    settings = Configuration(config, options).read().settings
    stops = warns = 0
    for finding in findings(settings):
        click.echo(f"{_MARKS[finding.verdict]}  {finding.what:<11}  {finding.text}")
        stops += finding.verdict == "stops"
        warns += finding.verdict == "warns"
    if stops:
        click.echo(f"{stops} of these would keep birdwatch from listening")
        sys.exit(1)
    click.echo("birdwatch can listen" + (f"; {warns} to look at" if warns else ""))
