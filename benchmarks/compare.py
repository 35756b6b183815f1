"""Two JSON files of `birdwatch bench --json`, or of a script here, as ratios: what became slower?

    python benchmarks/compare.py BEFORE.json AFTER.json [--limit 1.1]

A ratio above 1 is better, below 1 worse, whichever way a figure counts. Exit code 1 where one is worse than --limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from birdwatch.bench.report import Measure, Report


def read(path: Path) -> tuple[Mapping[str, Any], dict[str, Measure]]:
    """The setting and the measures in a file, by name. Raises ClickException for anything else."""
    try:
        report = Report.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{path} is not what `birdwatch bench --json` writes ({error})") from error
    return report.setting, {measure.name: measure for measure in report.measures}


def gain(before: Measure, after: Measure) -> float:
    """How many times better `after` is."""
    if not before.value or not after.value:
        return 1.0 if before.value == after.value else float("nan")
    ratio = after.value / before.value
    return 1 / ratio if after.better == "lower" else ratio


@click.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option(
    "--limit", default=1.1, show_default=True, type=click.FloatRange(1.0), help="Worse by more than this fails."
)
def main(before: Path, after: Path, limit: float) -> None:
    """Print, figure by figure, what AFTER has of BEFORE."""
    settings, old = read(before)
    newer, new = read(after)
    for key in sorted(settings.keys() | newer.keys()):
        if settings.get(key) != newer.get(key):
            click.echo(f"not the same {key}: {settings.get(key)} | {newer.get(key)}")
    worse = []
    wide = max(map(len, old | new), default=0)
    for name in old | new:
        if name not in old or name not in new:
            click.echo(f"{name:<{wide}}  only {'after' if name in new else 'before'}")
            continue
        ratio = gain(old[name], new[name])
        line = f"{name:<{wide}}  {old[name].text:>20}  {new[name].text:>20}"
        if new[name].better != "-":
            bad = ratio * limit < 1
            line += f"  {ratio:6.2f}{'  worse' if bad else ''}"
            worse += [name] if bad else []
        click.echo(line)
    if worse:
        raise click.ClickException(f"{len(worse)} of {len(old)} figures are worse by more than {limit:g} times")


if __name__ == "__main__":
    main()
