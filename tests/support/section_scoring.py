"""A recording scored whole and in sections."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from birdwatch.batch.jobs import Channel, Job, look_at
from birdwatch.batch.named_inputs import Input
from birdwatch.batch.progress import Meter
from birdwatch.batch.run_database import RunDatabase
from birdwatch.batch.scoring import Scoring, score_job
from birdwatch.cluster.commits import CommitStore, CommitWriter
from birdwatch.cluster.folding import Folding
from birdwatch.cluster.sections import Cutting, cutting_of, score_part
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.scores.events import EventRule
from birdwatch.scores.policy import ScoringPolicy

Samples = NDArray[np.float32]

SECTION_S = 15.0


def scoring_of(model: Path, *, keep_segments: bool = False, hop_s: float | None = 1.0, **changes: Any) -> Scoring:
    classifier = OnnxClassifier(model, **changes)
    rate_hz = classifier.manifest.rate_hz
    rules = (
        EventRule(0.5, 0.3, bridge_frames=3 * rate_hz),
        EventRule(0.4, 0.2, min_windows=2),
        EventRule(0.02, 0.01, bridge_frames=rate_hz),
    )
    floors = np.array([0.3, 0.45, 2.0], np.float32)
    return Scoring(classifier, ScoringPolicy(rules), hop_s, floors, keep_segments)


def recording(song: Samples, rate_hz: int, seconds: float) -> Samples:
    """Birdsong, digital silence over the first cut (15 s), noise of several levels."""
    rng = np.random.default_rng(rate_hz)
    long = np.tile(np.interp(np.arange(0, 13, 1 / rate_hz), np.arange(len(song)) / 32000, song), 12)
    out = long[: round(seconds * rate_hz)] * 0.8
    out += rng.normal(0, 1, len(out)) * 0.02 * (1 + np.sin(np.arange(len(out)) / rate_hz / 3))
    out[round(12.3 * rate_hz) : round(21.7 * rate_hz)] = 0
    return out.astype(np.float32)


def jobs_of(*paths: Path, channel: Channel = "mix") -> list[Job]:
    found = look_at([Input(path.stem, path) for path in paths], channel=channel)
    return [job for jobs in found for job in jobs]


def content(job: Job, database: RunDatabase) -> dict[str, Any]:
    entry = database.find(job)
    assert entry is not None
    facts = (entry.frames, entry.silent_frames, entry.unscored_frames, entry.windows, entry.warning)
    kinds = ("windows", "events", "segments")
    return {
        "facts": facts,
        "present": entry.present.tobytes(),
        **{kind: b"".join(database.pieces(entry, kind)) for kind in kinds},  # type: ignore[arg-type]
    }


def of_whole(job: Job, scoring: Scoring, folder: Path) -> dict[str, Any]:
    with RunDatabase(folder / "whole.journal", {}, resume=False) as database:
        score_job(job, scoring, database, lambda _: None)
        found = content(job, database)
    (folder / "whole.journal").unlink()
    return found


def of_sections(
    job: Job, cutting: Cutting, scoring: Scoring, folder: Path, *, skip: Callable[[int], bool] = lambda _: False
) -> tuple[dict[str, Any], list[Path]]:
    """What the sections give, scored in another order than they lie in, and the commits that it took."""
    store = CommitStore(folder / "store", {})
    writer = CommitWriter(store, {}, scoring.floors)
    for number, part in reversed(list(enumerate(cutting.parts(job)))):
        if not skip(number):
            score_part(part, scoring, writer, lambda _: None)
    writer.abandon()
    with RunDatabase(folder / "sections.journal", {}, resume=False) as database:
        outcome = Folding(store, cutting, scoring).take(job, database, Meter([job]), lambda: None)
        assert outcome is not None
        found = content(job, database)
        assert outcome.warning == found["facts"][-1]
    (folder / "sections.journal").unlink()
    return found, [path for path in (folder / "store").rglob("*") if path.is_file()]


def assert_same(job: Job, scoring: Scoring, folder: Path, *, commits: int) -> dict[str, Any]:
    cutting = cutting_of(scoring, [job], section_s=SECTION_S)
    expected = of_whole(job, scoring, folder)
    found, files = of_sections(job, cutting, scoring, folder)
    assert found == expected
    assert len(files) == commits
    return expected
