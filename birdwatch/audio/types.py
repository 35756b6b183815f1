"""The values that flow through the core: frozen, and counted in audio frames, the only clock inside.

Seconds and UTC appear at the edges only: a frame number times a rate is exact, summed milliseconds drift.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "AudioBlock",
    "Detection",
    "Event",
    "FloatArray",
    "Gap",
    "RecordingMaximum",
    "RecordingScores",
    "Window",
    "WindowScores",
]

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class AudioBlock:
    """Consecutive mono samples of one stream.

    samples: float32 `(n,)`, full scale +-1. start_frame: frames since the stream began, at `rate_hz`.
    utc_ns: the first sample's time in nanoseconds since 1970, or None where nobody knows it.
    """

    samples: FloatArray
    start_frame: int
    rate_hz: int
    utc_ns: int | None = None

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype != np.float32:
            raise ValueError(f"a block's samples must be float32 (n,); got {self.samples.dtype} {self.samples.shape}")

    @property
    def end_frame(self) -> int:
        """The frame after the last one."""
        return self.start_frame + len(self.samples)


@dataclass(frozen=True, slots=True)
class Gap:
    """Frames that were never captured, or were lost: `[start_frame, start_frame + frames)`."""

    start_frame: int
    frames: int
    reason: str


@dataclass(frozen=True, slots=True)
class Window:
    """What the network looks at: float32 `(window_frames,)` at the model's rate.

    Only the first `valid_frames` are audio; the tail of a recording is padded with zeros.
    """

    samples: FloatArray
    start_frame: int
    valid_frames: int


@dataclass(frozen=True, slots=True)
class WindowScores:
    """The scores of one window: float32 `(classes,)` in 0..1, in the model's label order."""

    start_frame: int
    valid_frames: int
    scores: FloatArray


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
