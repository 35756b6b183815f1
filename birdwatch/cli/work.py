"""`birdwatch work`: scores a share of a planned run."""

from __future__ import annotations

import re
import signal
import sys
from contextlib import nullcontext
from pathlib import Path

import click

from birdwatch.audio.isolated import Decoders
from birdwatch.batch.progress import Meter, json_view, terminal_view
from birdwatch.cli.parameters import NamedPlace
from birdwatch.cli.run_request import notice
from birdwatch.cluster.plan import Plan, read_plan
from birdwatch.cluster.store_files import place_of
from birdwatch.cluster.worker import Worker, shard
from birdwatch.wording import counted, verb

__all__ = ["work"]


@click.command()
@click.argument("store", type=NamedPlace())
@click.option("--shard", "share", default="0/1", show_default=True, metavar="I/N", help="The I-th of N equal shares.")
@click.option("--json-progress", is_flag=True, help="Progress as JSON lines on stdout, for programs.")
def work(store: Path | str, share: str, json_progress: bool) -> None:
    """Score the recordings of the run planned in STORE that are not scored yet.

    Can be killed and started again at any time, and run on any number of machines at the same time.
    """
    index, count = _share(share)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    plan = read_plan(place_of(str(store)))
    units = shard(plan.units, index, count)
    with Decoders(plan.request.jobs) as decoders:
        worker = Worker.open(plan, decoders=decoders)
        meter = Meter(worker.left(units))
        meter.add_resumed(sum(map(len, units)) - meter.total)
        failed = 0
        try:
            with (json_view if json_progress else terminal_view)(meter) as show:
                for numbers in units:
                    outcomes = worker.score(numbers, meter=meter, view=lambda _: nullcontext(show))
                    failed += sum(bool(outcome.fault) for outcome in outcomes)
        except KeyboardInterrupt:
            were = verb(meter.done, "was", "were")
            notice(f"birdwatch: stopped; {_counted(meter.done, plan)} {were} scored; start it again to continue")
            sys.exit(130)
    before = f"{meter.resumed} {verb(meter.resumed, 'was', 'were')} before"
    notice(
        f"{_counted(meter.done, plan)} scored, {before}, {failed} failed; on "
        f"{worker.identity['host']}, {worker.identity['provider']}"
    )
    sys.exit(3 if failed else 0)


def _counted(number: int, plan: Plan) -> str:
    """`number` of the plan's recordings or sections, in words."""
    if len(plan.parts) == len(plan.jobs):
        return counted(number, "recording")
    return counted(number, "recording or section", "recordings and sections")


def _share(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if found is None or not int(found[2]) or int(found[1]) > int(found[2]):
        raise click.BadParameter(f"{text!r}, expected I/N with I from 0 to N, such as 3/100", param_hint="--shard")
    return int(found[1]), int(found[2])
