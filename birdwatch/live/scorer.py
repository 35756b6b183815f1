"""The classifier protocol of stations, and scoring of a batch in which a bad window does not affect the others."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from birdwatch.audio.types import FloatArray, Window
from birdwatch.errors import InferenceError
from birdwatch.model.manifest import Manifest

__all__ = ["Scorer", "scores_of"]


class Scorer(Protocol):
    """The part of a classifier that a station needs."""

    @property
    def manifest(self) -> Manifest:
        """The model's description of itself."""
        ...

    @property
    def sha256(self) -> str:
        """The checksum of its file."""
        ...

    @property
    def batch_size(self) -> int:
        """How many windows are scored at once at most."""
        ...

    @property
    def provider(self) -> str:
        """The ONNX Runtime provider in use."""
        ...

    @property
    def setback(self) -> str | None:
        """Why it scores with less than it began with (CUDA failed), or None."""
        ...

    def score_rows(self, samples: FloatArray) -> FloatArray:
        """Scores `(B, segments, classes)` of windows `(B, window_frames)`; raises InferenceError."""
        ...


def scores_of(scorer: Scorer, batch: list[Window]) -> list[FloatArray | str]:
    """Each window's scores `(segments, classes)`, or why the network failed; a bad window costs only itself."""
    if not batch:
        return []
    try:
        return list(scorer.score_rows(np.stack([window.samples for window in batch])))
    except InferenceError as error:
        if len(batch) > 1:
            return [scores for window in batch for scores in scores_of(scorer, [window])]
        return [str(error)]
