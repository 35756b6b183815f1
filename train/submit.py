"""A submission from several exported models: `birdwatch run --format kaggle` with a competition's usual settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from birdwatch.batch.local_runner import View
from birdwatch.batch.progress import terminal_view
from birdwatch.batch.request import RunRequest
from birdwatch.batch.run import run
from birdwatch.config.schema import Settings
from birdwatch.errors import ConfigError
from birdwatch.scores.blending import Blending
from birdwatch.tables.formats import Output

__all__ = ["SubmitOptions", "write_submission"]

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SubmitOptions:
    """The command's options. models: the best first; hop_s: seconds from one window to the next, 0 for a row's."""

    models: tuple[Path, ...]
    audio: Path
    out: Path
    blending: Blending
    template: Path | None = None
    hop_s: float = 0.0


def write_submission(
    options: SubmitOptions, *, say: Say, view: View = terminal_view, clock: Callable[[], float] = monotonic
) -> int:
    """Write the table, `row_id` and a column for each class; returns how many models took part. clock: for tests."""
    if options.blending.row_s <= 0 or options.hop_s < 0:
        raise ConfigError("--row-s must be above 0, --hop-s at least 0")
    request = RunRequest(
        recordings=(str(options.audio),),
        outputs=(Output(options.out, "kaggle"),),
        settings=Settings(model=options.models[0], hop=options.hop_s or options.blending.row_s),
        template=options.template,
        blending=options.blending,
    )
    summary = run(request, notice=say, view=view, clock=clock)
    for outcome in summary.outcomes:
        if outcome.fault:
            say(f"not scored: {outcome.fault}")
    say(f"{options.out}: {len(summary.entries)} recordings, {summary.models} of {len(options.models)} models")
    return summary.models
