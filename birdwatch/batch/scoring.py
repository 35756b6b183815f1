"""Scores one recording into the run database, in constant memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from birdwatch.audio.isolated import Decoders
from birdwatch.audio.types import FloatArray
from birdwatch.batch.jobs import IN_PROCESS, Job
from birdwatch.batch.joining import continued_blocks
from birdwatch.batch.run_database import PRESENT, Facts, Kind, Piece
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.types import WindowScores
from birdwatch.paths import text_of
from birdwatch.scores.aggregation import Overlap, RecordingFold, segments_of
from birdwatch.scores.pipeline import WindowStream, score_blocks
from birdwatch.scores.policy import ScoringPolicy
from birdwatch.scores.types import Event, SkippedWindow
from birdwatch.tables.result import DETECTIONS, EVENTS

__all__ = ["Collected", "Pieces", "ResultWriter", "Scoring", "score_job"]

# A piece of the database: some thousand detections, or a few segments of a model of thousands of classes.
PIECE_BYTES = 1 << 17


@dataclass(frozen=True, slots=True)
class Scoring:
    """How recordings are scored, and what is kept.

    floors: float32 `(classes,)`, the score at or above which a window's row is kept. keep_segments: also keep the
    scores of every class in every segment, which is `segment_s` long (None: a row of the model's) and made of
    windows by `overlap`. in_flight: see
    `OnnxClassifier.score_windows`. decoders: what opens recordings.
    """

    classifier: OnnxClassifier
    policy: ScoringPolicy
    hop_s: float | None
    floors: FloatArray
    keep_segments: bool
    segment_s: float | None = None
    overlap: Overlap = "max"
    in_flight: int | None = None
    decoders: Decoders = IN_PROCESS


class ResultWriter(Protocol):
    """What keeps the results of recordings: the run database, or a store that several machines share."""

    @property
    def floors(self) -> FloatArray:
        """The score of each class from which rows are kept, `(classes,)`."""

    def begin(self, job: Job) -> int:
        """A recording whose pieces come before it is done. Its number."""

    def add(self, recording: int, piece: Piece) -> None:
        """Keep a piece of a recording that has begun."""

    def finish(self, job: Job, recording: int | None, pieces: Sequence[Piece], facts: Facts) -> None:
        """The recording is done, with its last pieces. recording: its number, if it has begun."""


def score_job(job: Job, scoring: Scoring, writer: ResultWriter, advance: Callable[[float], None]) -> str:
    """Score one recording and mark it done; returns a warning, or an empty text.

    advance: is called with the seconds of audio done since the last call. Raises SourceError or InferenceError.
    """
    manifest = scoring.classifier.manifest
    audio = scoring.decoders.open(job.path, channel=job.channel)
    collected = Collected(job, scoring, writer)
    stream = WindowStream(audio.rate_hz, manifest, hop_s=scoring.hop_s)
    behind = 0
    blocks = audio.blocks()
    if job.rest:
        blocks = continued_blocks(job, audio, scoring.decoders)
    for item in score_blocks(blocks, scoring.classifier, stream, scoring.policy, in_flight=scoring.in_flight):
        collected.push(item)
        end = item.start_frame + item.valid_frames
        advance((end - behind) / manifest.rate_hz)
        behind = end
    warnings = list(audio.warnings)
    if stream.invalid_frames:
        warnings.append(
            f"{job.path} holds NaN or infinity in {stream.invalid_frames / audio.rate_hz:.3f} s, which are not scored"
        )
    return collected.finish(stream.end_frame, warnings)


class Collected:
    """Collects the scores of a recording: `push` them in order, `finish` at the end; `writer` then has all results."""

    def __init__(self, job: Job, scoring: Scoring, writer: ResultWriter) -> None:
        manifest = scoring.classifier.manifest
        self._job, self._scoring, self._writer = job, scoring, writer
        self._pieces = Pieces(writer, job)
        self._fold = RecordingFold(scoring.policy, manifest.rate_hz)
        # A segment belongs to the recording's own time.
        self._segments = segments_of(
            scoring.overlap, round((scoring.segment_s or manifest.row_s) * manifest.rate_hz), len(manifest.labels)
        )

    def push(self, item: WindowScores | SkippedWindow) -> None:
        """The next scores, or that there are none."""
        result = self._fold.push(item)
        if isinstance(item, WindowScores):
            self._pieces.add("windows", _rows(item, self._scoring.floors))
            before = self._segments.push(item)
        else:
            before = self._segments.skip(item)
        self._pieces.add("events", _events(event for event, _ in result.ended))
        self._keep(before)

    def finish(self, end_frame: int, warnings: Sequence[str]) -> str:
        """The recording ends at `end_frame`, at the model's rate. Its warnings as one text."""
        fold, pieces = self._fold, self._pieces
        pieces.add("events", _events(event for event, _ in fold.finish(end_frame)))
        self._keep(self._segments.finish())
        warning = text_of("; ".join(filter(None, [self._job.warning, *warnings])))
        labels = np.flatnonzero(fold.maximum.scores >= self._scoring.policy.thresholds)
        present = np.empty(len(labels), PRESENT)
        present["label"], present["score"] = labels, fold.maximum.scores[labels]
        facts = Facts(
            end_frame,
            fold.accounting.skipped_silent,
            fold.accounting.dropped,
            fold.maximum.windows,
            present,
            warning,
        )
        self._writer.finish(self._job, pieces.recording, [pieces.take(kind) for kind in pieces.held], facts)
        return warning

    def _keep(self, segments: Iterable[FloatArray]) -> None:
        if self._scoring.keep_segments:
            for row in segments:
                self._pieces.add("segments", row.tobytes())


def _rows(window: WindowScores, floors: FloatArray) -> bytes:
    found = np.flatnonzero(window.scores >= floors)
    rows = np.empty(len(found), DETECTIONS)
    rows["start_frame"] = window.start_frame
    rows["end_frame"] = window.start_frame + window.valid_frames
    rows["label"] = found
    rows["score"] = window.scores[found]
    return rows.tobytes()


def _events(events: Iterable[Event]) -> bytes:
    rows = [(e.start_frame, e.end_frame, e.label, e.max_score, e.mean_score, e.windows) for e in events]
    return np.array(rows, EVENTS).tobytes()


class Pieces:
    """Gathers bytes of each kind and returns them in pieces, so that memory is constant."""

    def __init__(self, writer: ResultWriter, job: Job) -> None:
        self.writer, self.job = writer, job
        self.recording: int | None = None
        self.held: dict[Kind, bytearray] = {}
        self.number: Counter[Kind] = Counter()

    def add(self, kind: Kind, data: bytes) -> None:
        """More of a kind; whole pieces are kept at once."""
        held = self.held.setdefault(kind, bytearray())
        held += data
        if len(held) >= PIECE_BYTES:
            if self.recording is None:
                self.recording = self.writer.begin(self.job)
            self.writer.add(self.recording, self.take(kind))

    def take(self, kind: Kind) -> Piece:
        """The next piece of a kind: what is held of it."""
        data = bytes(self.held[kind])
        self.held[kind].clear()
        self.number[kind] += 1
        return kind, self.number[kind] - 1, data
