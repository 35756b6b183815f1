"""A worker: scores the units of a plan and commits each recording or section; commits survive if it dies."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

from birdwatch.audio.isolated import Decoders
from birdwatch.batch.jobs import Job
from birdwatch.batch.local_runner import Outcome, View, score_all
from birdwatch.batch.prepared import Prepared, prepare
from birdwatch.batch.progress import Meter
from birdwatch.cluster.commits import CommitStore, CommitWriter
from birdwatch.cluster.plan import Plan
from birdwatch.cluster.sections import score_part, whole
from birdwatch.errors import ConfigError
from birdwatch.model.probe import probe_clips

__all__ = ["Worker", "shard"]

Unit = TypeVar("Unit")


def shard(units: Iterable[Unit], index: int, count: int) -> list[Unit]:
    """The units of one of `count` workers: every one is some worker's, for indices from 0 on as for those from 1 on.

    Units are sorted by length, so they are assigned in turn.
    """
    return [numbers for unit, numbers in enumerate(units) if unit % count == index % count]


def unseen(_: Meter) -> AbstractContextManager[Callable[[], None]]:
    """A progress view without output."""
    return nullcontext(lambda: None)


@dataclass(frozen=True, slots=True)
class Worker:
    """A plan with its model loaded, as every unit needs it."""

    plan: Plan
    prepared: Prepared
    store: CommitStore
    identity: dict[str, str]

    @classmethod
    def open(cls, plan: Plan, *, decoders: Decoders) -> Worker:
        """Load the model. Raises ConfigError where this machine would give other results than were planned."""
        prepared = prepare(plan.request, notice=lambda _: None, decoders=decoders)
        wanted, here = plan.parameters, prepared.parameters
        # Another provider gives scores that differ in the last digits, which the probe's hash shows.
        changed = [
            f"{key} is {here.get(key)!r} here and {wanted.get(key)!r} in the plan"
            for key in sorted({*wanted, *here} - {"provider"})
            if here.get(key) != wanted.get(key)
        ]
        if changed:
            raise ConfigError(f"this worker would give other results: {'; '.join(changed)}")
        classifier = prepared.scoring.classifier
        probe = hashlib.sha256(classifier.score(probe_clips(classifier.manifest.window_frames)).tobytes()).hexdigest()
        identity = {"host": platform.node(), "provider": classifier.provider, "probe": probe[:16]}
        return cls(plan, prepared, CommitStore(plan.store, wanted), identity)

    def score(self, numbers: Sequence[int], *, meter: Meter | None = None, view: View = unseen) -> list[Outcome]:
        """Score the parts with these numbers that are not committed; how each went. Raises SinkError."""
        jobs = list(self.left([numbers]))
        writer = CommitWriter(self.store, self.identity, self.prepared.scoring.floors)
        try:
            outcomes = score_all(
                self.plan.request, jobs, self.prepared.scoring, writer, meter or Meter(jobs), view, score=score_part
            )
        finally:
            writer.abandon()
        for outcome in outcomes:
            if outcome.fault:
                self.store.note_fault(whole(outcome.job), outcome.fault)
        return outcomes

    def left(self, units: Iterable[Sequence[int]]) -> Iterator[Job]:
        """The recordings and sections of these units that are not committed, with those of one in memory."""
        for numbers in units:
            parts = [self.plan.parts[number] for number in numbers]
            yield from (part for part, done in zip(parts, self.store.have_parts(parts), strict=True) if not done)


def default_threads() -> None:
    """One thread for each library that would start more: workers share a machine's cores."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
