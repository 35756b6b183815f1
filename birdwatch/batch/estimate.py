"""Estimates the cost of a run by scoring a minute of one of its recordings."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from birdwatch.audio.types import AudioBlock
from birdwatch.batch.jobs import Job
from birdwatch.batch.prepared import Prepared
from birdwatch.batch.staging import Staging
from birdwatch.model.probe import probe_clips
from birdwatch.scores.pipeline import WindowStream, score_blocks

__all__ = ["Estimate", "estimate"]

# Of a recording: as much as is scored for the measurement.
SAMPLE_S = 60.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """The cost of scoring. times: seconds of audio for each second of a core, as measured here on `sample`.

    audio_s, size_bytes: of all recordings that can be read.
    """

    times: float
    sample: Job
    audio_s: float
    size_bytes: int

    @property
    def core_s(self) -> float:
        """Seconds that one core takes."""
        return self.audio_s / self.times

    def bytes_per_s(self, cores: int) -> float:
        """Bytes per second that the storage must deliver so that this many cores do not wait for it."""
        return self.size_bytes / self.core_s * cores


def estimate(jobs: Iterable[Job], plan: Prepared, *, clock: Callable[[], float] = time.process_time) -> Estimate | None:
    """The cost of `jobs`, or None where none of them has a known length.

    clock: processor seconds of this process, which decodes and scores here. One recording from elsewhere is fetched
    for it, the smallest that is long enough. Raises SourceError and InferenceError where that one fails.
    """
    sample: Job | None = None
    audio_s, size_bytes = 0.0, 0
    for job in jobs:
        if job.fault is None and job.duration_s > 0:
            audio_s += job.duration_s
            size_bytes += job.size_bytes
            sample = job if sample is None or _rank(job) < _rank(sample) else sample
    if sample is None:
        return None
    classifier = plan.scoring.classifier
    # The network's first run allocates its buffers.
    classifier.score(probe_clips(classifier.manifest.window_frames))
    with Staging([sample], 1) as staging, staging.files(sample) as here:
        audio = plan.scoring.decoders.open(here.path, channel=here.channel)
        stream = WindowStream(audio.rate_hz, classifier.manifest, hop_s=plan.scoring.hop_s)
        began = clock()
        for _ in score_blocks(_first(audio.blocks()), classifier, stream, plan.scoring.policy):
            pass
        spent = clock() - began
    scored_s = stream.end_frame / classifier.manifest.rate_hz
    if not scored_s or spent <= 0:
        return None
    return Estimate(scored_s / spent, sample, audio_s, size_bytes)


def _rank(job: Job) -> tuple[float, int]:
    """Smaller for a better sample: the smallest of those that are long enough, else the longest."""
    return (-SAMPLE_S, job.size_bytes) if job.duration_s >= SAMPLE_S else (-job.duration_s, 0)


def _first(blocks: Iterable[AudioBlock]) -> Iterator[AudioBlock]:
    for block in blocks:
        if block.start_frame >= SAMPLE_S * block.rate_hz:
            return
        yield block
