"""Long recordings in sections of an hour, each scored on its own, and together what the whole recording gives.

A section owns the windows that start in it. The grid of windows, the resampler and what is derived from scores are
those of the whole recording: a section is decoded from a little before its start (birdwatch.audio.restart), and events
and counts are derived when all its sections are there. A recording that turns out to be other than its header says, or
that holds NaN, is scored whole, as are formats that cannot be read from the middle.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from birdwatch.audio.restart import SETTLING_S, restart_period
from birdwatch.audio.types import AudioBlock, Window
from birdwatch.audio.windows import hop_frames_of
from birdwatch.batch.jobs import Job, Section
from birdwatch.batch.joining import continued_stretch
from birdwatch.batch.run_database import PRESENT, Facts
from birdwatch.batch.scoring import Pieces, ResultWriter, Scoring, score_job
from birdwatch.cluster.section_items import bytes_of, limits_of
from birdwatch.errors import DecodeError, SourceError
from birdwatch.model.types import WindowScores
from birdwatch.scores.pipeline import WindowStream, score_windows
from birdwatch.scores.types import SkippedWindow

__all__ = ["SECTION_S", "Cutting", "SectionReader", "cutting_of", "score_part", "whole"]

SECTION_S = 3600.0
# Read behind the last window of a section: more than a resampler holds back.
AHEAD_S = 2.0


@dataclass(frozen=True, slots=True)
class Cutting:
    """How recordings are cut. rate_hz: the model's. section_frames: of a section, at that rate.

    rates_hz: of the recordings that may be cut: there the resampler can begin in the middle.
    """

    rate_hz: int
    section_frames: int
    rates_hz: tuple[int, ...] = ()

    def parts(self, job: Job) -> tuple[Job, ...]:
        """A job a section, or the job itself where it is not cut. The last section has what is left, up to two."""
        frames = job.frames * self.rate_hz // job.rate_hz if job.rate_hz in self.rates_hz and job.fault is None else 0
        count = frames // self.section_frames
        if count < 2:
            return (job,)
        starts = [number * self.section_frames for number in range(count)]
        ends = [*starts[1:], None]
        return tuple(
            replace(
                job,
                section=Section(start, end),
                duration_s=((frames if end is None else end) - start) / self.rate_hz,
            )
            for start, end in zip(starts, ends, strict=True)
        )


def cutting_of(scoring: Scoring, jobs: Iterable[Job], *, section_s: float = SECTION_S) -> Cutting:
    """How `jobs` are cut: in sections of `section_s` or a little longer."""
    manifest = scoring.classifier.manifest
    hop = hop_frames_of(scoring.hop_s, manifest.window_frames, manifest.rate_hz)
    # So long that a section is read within its neighbours.
    least = 2 * manifest.window_frames + round(2 * AHEAD_S * manifest.rate_hz)
    section = -(-max(least, round(section_s * manifest.rate_hz)) // hop) * hop
    rates = {job.rate_hz for job in jobs if job.frames * manifest.rate_hz >= 2 * section * job.rate_hz > 0}
    able = [rate for rate in sorted(rates) if restart_period(rate, manifest.rate_hz, kind=manifest.resampler)]
    return Cutting(manifest.rate_hz, section, tuple(able))


class SectionReader:
    """One section of a recording: `items` scores it; `end_frame` and `warnings` are then the recording's so far."""

    def __init__(self, job: Job, scoring: Scoring) -> None:
        assert job.section is not None
        self._job, self._scoring, self._section = job, scoring, job.section
        self.warnings: list[str] = []
        self.end_frame = 0

    def items(self) -> Iterator[WindowScores | SkippedWindow]:
        """The scores of the section's windows or rows, as the whole recording has them there.

        Raises DecodeError where only the whole recording can be scored.
        """
        manifest, scoring, section = self._scoring.classifier.manifest, self._scoring, self._section
        window, rate_hz = manifest.window_frames, self._job.rate_hz
        hop = hop_frames_of(scoring.hop_s, window, manifest.rate_hz)
        # A window before the section: rows are means over windows that begin before them, and a tail that is too short
        # to be scored is one behind a whole window.
        begin = max(0, section.start_frame - -(-window // hop) * hop)
        period = restart_period(rate_hz, manifest.rate_hz, kind=manifest.resampler)
        if period is None:
            raise DecodeError(f"{self._job.path} cannot be resampled from the middle", path=self._job.path)
        first = max(0, begin * rate_hz // manifest.rate_hz - round(SETTLING_S * rate_hz)) // period * period
        last = self._job.frames
        if section.end_frame is not None:
            last = (section.end_frame + window) * rate_hz // manifest.rate_hz + round(AHEAD_S * rate_hz)
        blocks = continued_stretch(self._job, first, last, decoders=scoring.decoders, warnings=self.warnings)
        stream = WindowStream(rate_hz, manifest, hop_s=scoring.hop_s, first_frame=begin)
        windows = self._windows(blocks, stream)
        if manifest.segments == 1:
            windows = (one for one in windows if one.start_frame >= section.start_frame)
        for item in score_windows(windows, scoring.classifier, hop, scoring.policy, in_flight=scoring.in_flight):
            late = section.end_frame is not None and item.start_frame >= section.end_frame
            if item.start_frame >= section.start_frame and not late:
                yield item
        self.end_frame = stream.end_frame if section.end_frame is None else section.end_frame

    def _windows(self, blocks: Iterator[AudioBlock], stream: WindowStream) -> Iterator[Window]:
        """The windows that start before the section's end; blocks are read to their end, where faults are known."""
        end, done = self._section.end_frame, False
        for block in blocks:
            if done:
                continue
            found = stream.push(block)
            if stream.invalid_frames:
                raise DecodeError(f"{self._job.path} holds NaN or infinity", path=self._job.path)
            for window in found:
                done = done or (end is not None and window.start_frame >= end)
                if not done:
                    yield window
        if end is None:
            yield from stream.finish()
        elif not done:
            raise DecodeError(f"{self._job.path} ends before its section does", path=self._job.path)


def whole(job: Job) -> Job:
    """The recording of which a job is a section, or the job itself."""
    return job if job.section is None else replace(job, section=None)


def score_part(job: Job, scoring: Scoring, writer: ResultWriter, advance: Callable[[float], None]) -> str:
    """As `score_job`, of a recording or one section; where a section cannot stand alone, of the whole recording."""
    if job.section is not None:
        try:
            return _score_section(job, job.section, scoring, writer, advance)
        except SourceError:
            # The whole recording is scored as on one machine, with all that is wrong with it.
            pass
    return score_job(whole(job), scoring, writer, advance)


def _score_section(
    job: Job, section: Section, scoring: Scoring, writer: ResultWriter, advance: Callable[[float], None]
) -> str:
    rate_hz, limits = scoring.classifier.manifest.rate_hz, limits_of(scoring)
    reader, pieces = SectionReader(job, scoring), Pieces(writer, job)
    behind, count = section.start_frame, 0
    for item in reader.items():
        pieces.add("items", bytes_of(item, limits))
        count += isinstance(item, WindowScores)
        end = item.start_frame + item.valid_frames
        advance((end - behind) / rate_hz)
        behind = end
    facts = Facts(reader.end_frame, 0, 0, count, np.empty(0, PRESENT), json.dumps(reader.warnings))
    writer.finish(job, pieces.recording, [pieces.take(kind) for kind in pieces.held], facts)
    return ""
