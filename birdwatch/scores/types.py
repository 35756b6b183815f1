"""Values derived from window scores: recordings, detections and events. Frames are at the model's rate."""

from __future__ import annotations

from dataclasses import dataclass

from birdwatch.audio.types import FloatArray
from birdwatch.model.types import WindowScores

__all__ = ["Detection", "Event", "RecordingMaximum", "RecordingScores", "SkippedWindow"]


@dataclass(frozen=True, slots=True)
class RecordingScores:
    """The result of scoring one recording.

    Frames are at the model's rate, `rate_hz`. `windows` holds the scored windows in order of time; `scores` float32
    `(classes,)` is their maximum. `detections` and `events` follow from the scoring policy. Frames in no scored window:
    `silent_frames` of digital silence, `unscored_frames` of NaN, infinity and tails too short for a window.
    """

    recording: str
    rate_hz: int
    start_frame: int
    end_frame: int
    windows: tuple[WindowScores, ...]
    scores: FloatArray
    detections: tuple[Detection, ...] = ()
    events: tuple[Event, ...] = ()
    silent_frames: int = 0
    unscored_frames: int = 0

    @property
    def duration_s(self) -> float:
        """Seconds of audio."""
        return (self.end_frame - self.start_frame) / self.rate_hz


@dataclass(frozen=True, slots=True)
class RecordingMaximum:
    """What a recording, or a stretch of a live stream, comes down to; its windows are only counted.

    Frames are at the model's rate, `rate_hz`. `scores` float32 `(classes,)` is the maximum over the windows.
    """

    recording: str
    rate_hz: int
    start_frame: int
    end_frame: int
    windows: int
    scores: FloatArray


@dataclass(frozen=True, slots=True)
class Detection:
    """One class at or over its threshold in one window; frames at the model's rate."""

    label: int
    score: float
    threshold: float
    start_frame: int
    end_frame: int


@dataclass(frozen=True, slots=True)
class Event:
    """Consecutive detections of one class, merged; frames at the model's rate."""

    label: int
    start_frame: int
    end_frame: int
    max_score: float
    mean_score: float
    windows: int


@dataclass(frozen=True, slots=True)
class SkippedWindow:
    """A window of digital silence, which is not scored; frames at the model's rate."""

    start_frame: int
    valid_frames: int
