"""The request of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from birdwatch.batch.jobs import Channel
from birdwatch.config.schema import Settings
from birdwatch.scores.blending import UNBLENDED, Blending
from birdwatch.tables.formats import Output

__all__ = ["RunRequest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """A run over recordings; `birdwatch.batch.run.run` carries it out.

    recordings: files, folders, `@list.txt`, or `-` for a list on stdin. settings: model, hop, thresholds, event rules
    and species filter, as for a station. template: a sample submission whose rows and columns the kaggle table takes.
    min_score: keep rows of windows at or above this score instead of the thresholds. include: patterns for files in
    folders. join: files that continue each other are one recording. since, until, start: ISO 8601. timezone: of times
    that name none. jobs: recordings scored at once. batch: windows per run of the network, None for the provider's
    default. blending: what the rows of the kaggle table are made of, with further models. resume: continue an
    interrupted run. settings_files: where the settings were read from; no output may be one of them.
    """

    recordings: tuple[str, ...]
    outputs: tuple[Output, ...] = ()
    settings: Settings = field(default_factory=Settings)
    template: Path | None = None
    min_score: float | None = None
    channel: Channel = "mix"
    recursive: bool = True
    include: tuple[str, ...] = ()
    join: bool = False
    since: str | None = None
    until: str | None = None
    start: str | None = None
    timezone: str = "UTC"
    jobs: int = 2
    batch: int | None = None
    resume: bool = False
    settings_files: tuple[Path, ...] = ()
    blending: Blending = UNBLENDED
