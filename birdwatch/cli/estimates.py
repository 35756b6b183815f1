"""What `--dry-run` says of a run's cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from birdwatch.batch.estimate import estimate
from birdwatch.batch.jobs import Job
from birdwatch.batch.prepared import Prepared
from birdwatch.errors import BirdwatchError
from birdwatch.wording import audio_text, counted, printable, speed_text, work_text

__all__ = ["estimate_line"]


def estimate_line(jobs: Iterable[Job], prepared: Callable[[], Prepared], workers: int) -> str:
    """Core-hours, and what the storage must give to `workers` of one core each, or why that is not known."""
    try:
        found = estimate(jobs, prepared())
    except BirdwatchError as error:
        return f"no estimate of the cost: {printable(str(error))}"
    if found is None:
        return "no estimate of the cost: no recording has a known length"
    many = counted(workers, "worker")
    return (
        f"about {work_text(found.core_s)}, by {speed_text(found.times)} times real time on a core of this machine, "
        f"measured on {printable(found.sample.name)}; {many} of one core: {audio_text(found.core_s / workers)}, "
        f"if the storage gives {found.bytes_per_s(workers) / 1e9:.3g} GB/s"
    )
