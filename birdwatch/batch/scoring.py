"""One recording through the model and into the journal, in flat memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from birdwatch.audio.file import AudioFile
from birdwatch.audio.types import FloatArray
from birdwatch.batch.jobs import Job
from birdwatch.batch.run_database import PRESENT, Journal, Kind, Piece
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.types import WindowScores
from birdwatch.scores.aggregation import Maximum, SegmentMaximum
from birdwatch.scores.pipeline import WindowStream, score_blocks
from birdwatch.tables.result import DETECTIONS

__all__ = ["Scoring", "score_job"]

# A piece of the journal: some thousand detections, or a few segments of a model of thousands of classes.
PIECE_BYTES = 1 << 17


@dataclass(frozen=True, slots=True)
class Scoring:
    """What is kept of the scores, and how they come about.

    limits, floors: float32 `(classes,)`: presence from `limits` on, a detection from `floors` on. keep_segments: also
    keep every class's score in every segment as long as a window.
    """

    classifier: OnnxClassifier
    hop_s: float | None
    limits: FloatArray
    floors: FloatArray
    keep_segments: bool


def score_job(job: Job, scoring: Scoring, journal: Journal, advance: Callable[[float], None]) -> str:
    """Score one recording and mark it done; returns a warning, or an empty text.

    advance: told the seconds of audio that are behind it, as they go by. Raises SourceError or InferenceError.
    """
    manifest = scoring.classifier.manifest
    audio = AudioFile(job.path, channel=job.channel)
    pieces = _Pieces(journal, job)
    classes = len(manifest.labels)
    maximum = Maximum(classes)
    # A segment belongs to the recording's own time, and is as long as what the model hears at once.
    rows = SegmentMaximum(manifest.window_frames, classes)
    stream = WindowStream(audio.rate_hz, manifest, hop_s=scoring.hop_s)
    behind = 0
    for window in score_blocks(audio.blocks(), scoring.classifier, stream):
        maximum.push(window)
        pieces.add("detections", _detections(window, scoring.floors))
        if scoring.keep_segments:
            for row in rows.push(window):
                pieces.add("segments", row.tobytes())
        end = window.start_frame + window.valid_frames
        advance((end - behind) / manifest.rate_hz)
        behind = end
    if scoring.keep_segments:
        for row in rows.finish():
            pieces.add("segments", row.tobytes())
    warning = "; ".join(audio.warnings)
    labels = np.flatnonzero(maximum.scores >= scoring.limits)
    present = np.empty(len(labels), PRESENT)
    present["label"], present["score"] = labels, maximum.scores[labels]
    journal.finish(
        job,
        pieces.recording,
        [pieces.take(kind) for kind in pieces.held],
        frames=stream.end_frame,
        windows=maximum.windows,
        present=present,
        warning=warning,
    )
    return warning


def _detections(window: WindowScores, floors: FloatArray) -> bytes:
    found = np.flatnonzero(window.scores >= floors)
    rows = np.empty(len(found), DETECTIONS)
    rows["start_frame"] = window.start_frame
    rows["end_frame"] = window.start_frame + window.valid_frames
    rows["label"] = found
    rows["score"] = window.scores[found]
    return rows.tobytes()


class _Pieces:
    """Gathers bytes of each kind and hands them to the journal a piece at a time, so that memory is flat."""

    def __init__(self, journal: Journal, job: Job) -> None:
        self.journal, self.job = journal, job
        self.recording: int | None = None
        self.held: dict[Kind, bytearray] = {}
        self.number: Counter[Kind] = Counter()

    def add(self, kind: Kind, data: bytes) -> None:
        held = self.held.setdefault(kind, bytearray())
        held += data
        if len(held) >= PIECE_BYTES:
            if self.recording is None:
                self.recording = self.journal.begin(self.job)
            self.journal.add(self.recording, self.take(kind))

    def take(self, kind: Kind) -> Piece:
        data = bytes(self.held[kind])
        self.held[kind].clear()
        self.number[kind] += 1
        return kind, self.number[kind] - 1, data
