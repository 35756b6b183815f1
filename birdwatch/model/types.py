"""What a model answers: the scores of one window."""

from __future__ import annotations

from dataclasses import dataclass

from birdwatch.audio.types import FloatArray

__all__ = ["WindowScores"]


@dataclass(frozen=True, slots=True)
class WindowScores:
    """The scores of one window: float32 `(classes,)` in 0..1, in the model's label order."""

    start_frame: int
    valid_frames: int
    scores: FloatArray
