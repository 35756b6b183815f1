"""The scoring policy, which decides what happens to a window in `run`, `listen` and `birdwatch.analyze`.

NaN and infinity never reach a window (`birdwatch.audio.finite`); a window of digital silence is not scored; classes
that the species filter excludes score 0; a class at or above its threshold is a detection; consecutive detections are
merged into events.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from birdwatch.audio.levels import is_constant
from birdwatch.audio.types import FloatArray, Window
from birdwatch.model.species_filter import SpeciesFilter
from birdwatch.scores.events import EventRule, EventTracker

__all__ = ["ScoringPolicy"]


@dataclass(frozen=True, slots=True)
class ScoringPolicy:
    """Immutable; a reload makes a new one.

    rules: one per class, in the order of the model's labels; `rule.on` is the class's detection threshold. species: the
    classes that may be detected, None for all of them.
    """

    rules: tuple[EventRule, ...]
    species: SpeciesFilter | None = None

    def __post_init__(self) -> None:
        if self.species is not None and len(self.species.allowed) != len(self.rules):
            raise ValueError(f"the species filter has {len(self.species.allowed)} classes, the rules {len(self.rules)}")

    @property
    def thresholds(self) -> FloatArray:
        """Detection thresholds float32 `(classes,)`; infinity for classes that the species filter excludes."""
        limits = np.array([rule.on for rule in self.rules], np.float32)
        return limits if self.species is None else self.species.applied(limits)

    def floors(self, min_score: float | None) -> FloatArray:
        """Scores float32 `(classes,)` at or above which a window's row is kept: the thresholds, or `min_score`."""
        limits = self.thresholds
        return limits if min_score is None else np.where(np.isinf(limits), limits, np.float32(min_score))

    def is_scored(self, window: Window) -> bool:
        """Whether a window goes to the network: digital silence does not."""
        return not is_constant(window.samples[: window.valid_frames])

    def filtered(self, scores: FloatArray) -> FloatArray:
        """Scores `(..., classes)` with 0 for the classes that the species filter excludes."""
        return scores if self.species is None else scores * self.species.allowed

    def tracker(self, rate_hz: int) -> EventTracker:
        """A new tracker of detections and events for a stream; frames at `rate_hz`, the model's rate."""
        return EventTracker(self.rules, rate_hz, allowed=None if self.species is None else self.species.allowed)
