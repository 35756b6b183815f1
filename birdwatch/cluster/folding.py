"""Copies commits into the run database of the driver, its only writer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from birdwatch.batch.jobs import Job
from birdwatch.batch.local_runner import Outcome, View
from birdwatch.batch.prepared import Prepared
from birdwatch.batch.progress import Meter
from birdwatch.batch.run_database import RunDatabase
from birdwatch.batch.scoring import Collected, ResultWriter, Scoring
from birdwatch.cluster.commits import Commit, CommitStore
from birdwatch.cluster.section_items import items_of
from birdwatch.cluster.sections import Cutting
from birdwatch.errors import ConfigError
from birdwatch.wording import counted, verb

__all__ = ["Folding", "fold", "fold_sections"]

# What is known of a worker, as it keeps it in its commits.
WORKER = ("probe", "provider", "host")
# Pieces that wait for the last of their recording: as many as a short one has.
AT_ONCE = 8


def fold(job: Job, commit: Commit, database: RunDatabase) -> Outcome:
    """Put a committed recording into the run database."""
    recording: int | None = None
    held = []
    for piece in commit.pieces():
        held.append(piece)
        if len(held) > AT_ONCE:
            recording = database.begin(job) if recording is None else recording
            database.add(recording, held.pop(0))
    database.finish(job, recording, held, commit.facts)
    return Outcome(job, warning=commit.facts.warning)


def fold_sections(job: Job, sections: Sequence[Commit], scoring: Scoring, writer: ResultWriter) -> Outcome:
    """Put a recording whose sections are committed, in order, into the run database: what follows from scores, too."""
    collected = Collected(job, scoring, writer)
    warnings: list[str] = []
    for section in sections:
        for _, _, data in section.pieces():
            for item in items_of(data, len(scoring.policy.rules)):
                collected.push(item)
        warnings += [line for line in json.loads(section.facts.warning) if line not in warnings]
    return Outcome(job, warning=collected.finish(sections[-1].facts.frames, warnings))


@dataclass(slots=True)
class Folding:
    """The engine of `merge`: what workers have committed. partial: recordings that are not scored yet are left out."""

    store: CommitStore
    cutting: Cutting
    scoring: Scoring
    partial: bool = False
    workers: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def __call__(
        self, jobs: Sequence[Job], plan: Prepared, database: RunDatabase, meter: Meter, view: View
    ) -> list[Outcome]:
        """Fold what is there, in the order of the jobs. Raises ConfigError where recordings are missing."""
        with view(meter) as show:
            outcomes = [self.take(job, database, meter, show) for job in jobs]
        missing = [job for job, outcome in zip(jobs, outcomes, strict=True) if outcome is None]
        if missing and not self.partial:
            are = verb(len(missing), "is", "are")
            raise ConfigError(
                f"{counted(len(missing), 'recording')} of {len(jobs)} {are} not scored yet, such as {missing[0].path}; "
                f"run `birdwatch work {self.store.folder}`, or add --partial to write what is there"
            )
        return [
            Outcome(job, fault="not scored yet") if outcome is None else outcome
            for job, outcome in zip(jobs, outcomes, strict=True)
        ]

    def take(self, job: Job, database: RunDatabase, meter: Meter, show: Callable[[], None]) -> Outcome | None:
        """Fold one recording, or None where it is not scored yet."""
        if job.fault is not None:
            meter.finish(job, failed=True)
            return Outcome(job, fault=job.fault)
        commits = self._commits(job)
        if not commits:
            fault = self.store.fault(job)
            if fault is None:
                return None
            meter.finish(job, failed=True)
            return Outcome(job, fault=fault)
        for worker in {tuple(commit.worker.get(name, "") for name in WORKER): None for commit in commits}:
            self.workers[worker] += 1
        if len(commits) == 1:
            outcome = fold(job, commits[0], database)
        else:
            outcome = fold_sections(job, commits, self.scoring, database)
        meter.advance(job, job.duration_s)
        meter.finish(job, warned=bool(outcome.warning))
        show()
        return outcome

    def _commits(self, job: Job) -> list[Commit]:
        """The recording's commit, or those of all its sections, in order; none where one is missing."""
        one = self.store.read(job)
        if one is not None:
            return [one]
        found = []
        parts = self.cutting.parts(job)
        for part in parts if len(parts) > 1 else ():
            commit = self.store.read(part)
            if commit is None:
                return []
            found.append(commit)
        return found

    def differing(self) -> list[str]:
        """A line for each machine whose probe differs from that of most recordings."""
        by_probe: Counter[str] = Counter()
        for (probe, *_), count in self.workers.items():
            by_probe[probe] += count
        if len(by_probe) < 2:
            return []
        (usual, _), *_ = by_probe.most_common(1)
        return [
            f"{host} ({provider}) gives other last digits than most workers; it scored {counted(count, 'recording')}"
            for (probe, provider, host), count in sorted(self.workers.items())
            if probe != usual
        ]
