"""The source of all tables: one scored recording, read in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from birdwatch.audio.timestamps import zone
from birdwatch.audio.types import FloatArray
from birdwatch.model.manifest import Manifest

__all__ = ["DETECTIONS", "EVENTS", "Result", "Rows", "Vocabulary"]

# What a row of a table is: a window in which a class was detected, or an event.
Rows = Literal["windows", "events"]

# One row per window and class; frames at the model's rate, the label an index into the model's labels.
DETECTIONS = np.dtype([("start_frame", "<i8"), ("end_frame", "<i8"), ("label", "<i4"), ("score", "<f4")])
# One row per event: `score` is the maximum over its windows, `mean_score` their mean.
EVENTS = np.dtype([*DETECTIONS.descr, ("mean_score", "<f4"), ("windows", "<i4")])


@dataclass(frozen=True, slots=True)
class Result:
    """One scored recording, or one channel of it (counted from 0; None: mixed).

    start_utc_ns: ns since 1970, or None where unknown. Frames at the model's rate: all, those of digital silence, and
    those in no window (NaN, infinity, short tails). warning: what is wrong with the file. present: bool `(classes,)`.
    rows: arrays `(n,)` of `DETECTIONS` in order of time, then label, or of `EVENTS`, likewise.
    segments: float32 `(n, classes)` in order.
    """

    name: str
    path: Path
    channel: int | None
    start_utc_ns: int | None
    frames: int
    silent_frames: int
    unscored_frames: int
    warning: str
    present: npt.NDArray[np.bool_]
    rows: Callable[[Rows], Iterator[npt.NDArray[np.void]]]
    segments: Callable[[], Iterator[FloatArray]]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Converts a model's label indices and frames to names and seconds.

    limits: detection thresholds float32 `(classes,)`. timezone: the zone in which tables also give times, or None.
    segment_s: seconds of a segment of the competition's table, None for the model's own rows.
    """

    manifest: Manifest
    limits: FloatArray
    rows: Rows = "windows"
    timezone: str | None = None
    segment_s: float | None = None

    @property
    def zone(self) -> tzinfo | None:
        """The zone of `timezone`."""
        return None if self.timezone is None else zone(self.timezone)

    def seconds(self, frame: int) -> float:
        """A frame's time since the recording began."""
        return frame / self.manifest.rate_hz

    def utc_ns(self, result: Result, frame: int) -> int | None:
        """A frame's time in ns since 1970, in integers, or None."""
        if result.start_utc_ns is None:
            return None
        return result.start_utc_ns + frame * 1_000_000_000 // self.manifest.rate_hz

    @property
    def band_hz(self) -> tuple[float, float]:
        """The lowest and highest frequency of the model's input."""
        spec = self.manifest.frontend
        return (0.0, self.manifest.rate_hz / 2) if spec is None else (spec.fmin_hz, spec.fmax_hz)
