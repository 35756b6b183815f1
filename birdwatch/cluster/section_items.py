"""The scores of a section as bytes: every window or row, and of each class what anything is derived from. Pure.

An item is `ITEM` and then its scores, `PRESENT` each; what is left out was below `limits`, and reads as 0.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from birdwatch.audio.types import FloatArray
from birdwatch.batch.run_database import PRESENT
from birdwatch.batch.scoring import Scoring
from birdwatch.model.types import WindowScores
from birdwatch.scores.types import SkippedWindow

__all__ = ["bytes_of", "items_of", "limits_of"]

# scores: how many follow, -1 for a window of digital silence.
ITEM = np.dtype([("start_frame", "<i8"), ("valid_frames", "<i4"), ("scores", "<i4")])
SILENT = -1


def limits_of(scoring: Scoring) -> FloatArray:
    """The score of each class below which it decides nothing, `(classes,)`: no row, no event, no maximum."""
    rules = scoring.policy.rules
    if scoring.keep_segments:
        return np.zeros(len(rules), np.float32)
    off = np.array([rule.off for rule in rules], np.float32)
    species = scoring.policy.species
    return np.minimum(scoring.floors, off if species is None else species.applied(off))


def bytes_of(item: WindowScores | SkippedWindow, limits: FloatArray) -> bytes:
    """An item, with the scores at or above `limits` `(classes,)`."""
    if isinstance(item, SkippedWindow):
        return np.array((item.start_frame, item.valid_frames, SILENT), ITEM).tobytes()
    labels = np.flatnonzero(item.scores >= limits)
    scores = np.empty(len(labels), PRESENT)
    scores["label"], scores["score"] = labels, item.scores[labels]
    return np.array((item.start_frame, item.valid_frames, len(labels)), ITEM).tobytes() + scores.tobytes()


def items_of(data: bytes, classes: int) -> Iterator[WindowScores | SkippedWindow]:
    """The items of a piece, in order."""
    at = 0
    while at < len(data):
        ((start, valid, count),) = np.frombuffer(data, ITEM, 1, at).tolist()
        at += ITEM.itemsize
        if count == SILENT:
            yield SkippedWindow(start, valid)
            continue
        found = np.frombuffer(data, PRESENT, count, at)
        at += found.nbytes
        scores = np.zeros(classes, np.float32)
        scores[found["label"]] = found["score"]
        yield WindowScores(start, valid, scores)
