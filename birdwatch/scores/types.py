"""What becomes of window scores: recordings, detections and events. Frames are at the model's rate."""

from __future__ import annotations

from dataclasses import dataclass

from birdwatch.audio.types import FloatArray
from birdwatch.model.types import WindowScores

__all__ = ["Detection", "Event", "RecordingMaximum", "RecordingScores"]


@dataclass(frozen=True, slots=True)
class RecordingScores:
    """All that was found in one recording.

    Frames are at the model's rate, `rate_hz`. `scores` float32 `(classes,)` is the maximum over the windows;
    `windows` holds them in order of time. `unscored_frames` counts a tail too short to score.
    """

    recording: str
    rate_hz: int
    start_frame: int
    end_frame: int
    windows: tuple[WindowScores, ...]
    scores: FloatArray
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
