"""The results of the live core as values: detections, ended events, recordings, gaps, silence and faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from birdwatch.audio.types import Gap
from birdwatch.scores.types import Detection, Event, RecordingMaximum

__all__ = ["EndedEvent", "Fault", "Found", "Result", "Silent"]


@dataclass(frozen=True, slots=True)
class Found:
    """One scored window: its end, and its detections with the numbers of their events."""

    end_frame: int
    detections: tuple[tuple[Detection, int], ...]


@dataclass(frozen=True, slots=True)
class EndedEvent:
    """An event that is over, and its number."""

    event: Event
    number: int


@dataclass(frozen=True, slots=True)
class Fault:
    """Why audio or results were lost: `slow` (a window was dropped), `inference` (it failed), `bad-audio` (NaN)."""

    kind: Literal["slow", "inference", "bad-audio"]
    text: str


@dataclass(frozen=True, slots=True)
class Silent:
    """A window of digital silence, which was passed by."""

    end_frame: int


Result = Gap | Found | EndedEvent | RecordingMaximum | Fault | Silent
