"""`birdwatch doctor`: checks everything that listening needs."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from birdwatch.cli.options import setting_options
from birdwatch.config.loading import Configuration, state_folder
from birdwatch.live.doctor import Finding, findings

__all__ = ["doctor"]

# Of birdwatch-hub.service.
HUB_SERVICE_FOLDER = Path("/var/lib/birdwatch-hub")

_MARKS = {
    "fine": click.style("ok  ", fg="green"),
    "warns": click.style("look", fg="yellow"),
    "stops": click.style("STOP", fg="red", bold=True),
}


@click.command()
@setting_options()
def doctor(config: Path | None, **options: Any) -> None:
    """Check sound, device, model, speed, ports and disk for `birdwatch listen`, and say how to fix problems.

    Takes the options of `birdwatch listen`. The exit code is 1 if a problem would prevent listening.
    """
    settings = Configuration(config, options).read().settings
    stops = warns = 0
    for finding in [*findings(settings), *_of_hub()]:
        click.echo(f"{_MARKS[finding.verdict]}  {finding.what:<11}  {finding.text}")
        stops += finding.verdict == "stops"
        warns += finding.verdict == "warns"
    if stops:
        click.echo(f"{stops} of these would prevent birdwatch from listening")
        sys.exit(1)
    click.echo("birdwatch can listen" + (f"; {warns} to look at" if warns else ""))


def _of_hub() -> list[Finding]:
    """Findings about a hub on this machine, if its packages are installed."""
    if find_spec("sqlalchemy") is None:
        return []
    folders = [folder for folder in (state_folder(), HUB_SERVICE_FOLDER) if (folder / "hub.db").is_file()]
    if not folders:
        return []
    from birdwatch.hub.doctor import hub_findings

    return [finding for folder in folders for finding in hub_findings(folder)]
