"""What every table is written from: one scored recording, its bulk read piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from birdwatch.audio.types import FloatArray
from birdwatch.model.manifest import Manifest

__all__ = ["DETECTIONS", "Result", "Vocabulary"]

# One row a window and class; frames at the model's rate, the label an index into the model's.
DETECTIONS = np.dtype([("start_frame", "<i8"), ("end_frame", "<i8"), ("label", "<i4"), ("score", "<f4")])


@dataclass(frozen=True, slots=True)
class Result:
    """One scored recording, or one channel of it (counted from 0; None: mixed).

    start_utc_ns: ns since 1970, or None where nobody knows. frames at the model's rate. present: bool `(classes,)`.
    detections: arrays `(n,)` of `DETECTIONS` in order of time, then label. segments: float32 `(n, classes)` in order.
    """

    name: str
    path: Path
    channel: int | None
    start_utc_ns: int | None
    frames: int
    present: npt.NDArray[np.bool_]
    detections: Callable[[], Iterator[npt.NDArray[np.void]]]
    segments: Callable[[], Iterator[FloatArray]]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What turns a model's indices and frames into words and seconds. limits: float32 `(classes,)`."""

    manifest: Manifest
    limits: FloatArray

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
        """The lowest and highest frequency that the model hears."""
        spec = self.manifest.frontend
        return (0.0, self.manifest.rate_hz / 2) if spec is None else (spec.fmin_hz, spec.fmax_hz)
