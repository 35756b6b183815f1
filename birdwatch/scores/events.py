"""Makes events of window scores: consecutive detections of one class, merged with hysteresis, in frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from birdwatch.audio.types import FloatArray
from birdwatch.model.types import WindowScores
from birdwatch.scores.types import Detection, Event

__all__ = ["EventRule", "EventTracker", "WindowResult"]

# A class that is detected without a pause (a pump that looks like a bird) is reported at least this often.
MAX_EVENT_S = 1800


@dataclass(frozen=True, slots=True)
class EventRule:
    """When an event of a class begins, continues and ends.

    on: the detection threshold, which begins an event. off: the score at or above which it continues. min_windows:
    events of fewer windows are not reported. bridge_frames: the longest pause between two windows of one event.
    """

    on: float
    off: float
    min_windows: int = 1
    bridge_frames: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.off <= self.on <= 1.0 or self.min_windows < 1 or self.bridge_frames < 0:
            raise ValueError(f"expected 0 <= off <= on <= 1, min_windows >= 1 and bridge_frames >= 0; got {self}")


@dataclass(frozen=True, slots=True)
class WindowResult:
    """The detections of one window, each with the number of its event, and the events that ended with it."""

    detections: tuple[tuple[Detection, int], ...]
    ended: tuple[tuple[Event, int], ...]


class _Open:
    """An event that has not ended."""

    def __init__(self, number: int, start_frame: int) -> None:
        self.number = number
        self.start_frame = start_frame
        self.end_frame = start_frame
        self.max_score = 0.0
        self.sum_scores = 0.0
        self.windows = 0

    def add(self, score: float, end_frame: int) -> None:
        self.end_frame = max(self.end_frame, end_frame)
        self.max_score = max(self.max_score, score)
        self.sum_scores += score
        self.windows += 1

    def closed(self, label: int) -> Event:
        return Event(
            label=label,
            start_frame=self.start_frame,
            end_frame=self.end_frame,
            max_score=self.max_score,
            mean_score=self.sum_scores / self.windows,
            windows=self.windows,
        )


class EventTracker:
    """Merges detections: `push` each window in order of time, `finish` at the end.

    rules: one per class, in label order. allowed: bool `(classes,)`, the classes that may be detected; None for all.
    Events are numbered from 1 as they begin. `on` `(classes,)` are the detection thresholds.
    """

    def __init__(
        self, rules: Sequence[EventRule], rate_hz: int, *, allowed: npt.NDArray[np.bool_] | None = None
    ) -> None:
        self.set_rules(rules, allowed)
        self._max_frames = MAX_EVENT_S * rate_hz
        self._open: dict[int, _Open] = {}
        self._number = 0

    def push(self, window: WindowScores) -> WindowResult:
        """Take one window's scores `(classes,)` into account."""
        end = window.start_frame + window.valid_frames
        ended = self._end_before(window.start_frame)
        detections = []
        for label in np.flatnonzero(window.scores >= self._off).tolist():
            score, limit = float(window.scores[label]), float(self.on[label])
            detected = window.scores[label] >= self.on[label]
            event = self._open.get(label)
            if event is None:
                if not detected:
                    continue
                self._number += 1
                event = self._open[label] = _Open(self._number, window.start_frame)
            event.add(score, end)
            if detected:
                detections.append((Detection(label, score, limit, window.start_frame, end), event.number))
        return WindowResult(tuple(detections), tuple(ended + self._end_after(window.start_frame)))

    def set_rules(self, rules: Sequence[EventRule], allowed: npt.NDArray[np.bool_] | None = None) -> None:
        """Apply other rules from the next window on; open events stay open."""
        self.rules = tuple(rules)
        # A threshold of 0 must not report an excluded class, whose score is 0.
        never = np.float32(np.inf)
        self.on: FloatArray = np.array([rule.on for rule in rules], np.float32)
        self._off: FloatArray = np.array([rule.off for rule in rules], np.float32)
        if allowed is not None:
            self.on, self._off = np.where(allowed, self.on, never), np.where(allowed, self._off, never)

    @property
    def open_events(self) -> int:
        """How many have begun and not ended."""
        return len(self._open)

    def finish(self) -> tuple[tuple[Event, int], ...]:
        """End all that is open: the stream stops, or time jumps."""
        return tuple(self._close(list(self._open)))

    def quiet(self, start_frame: int) -> tuple[tuple[Event, int], ...]:
        """The window at `start_frame` was not scored: events that only it could have continued have ended."""
        return tuple(self._end_after(start_frame))

    def _end_before(self, frame: int) -> list[tuple[Event, int]]:
        """A window that starts at `frame` is too late for these."""
        return self._close(
            [label for label, e in self._open.items() if frame - e.end_frame > self.rules[label].bridge_frames]
            + [label for label, e in self._open.items() if frame - e.start_frame > self._max_frames]
        )

    def _end_after(self, frame: int) -> list[tuple[Event, int]]:
        """The window at `frame` was the last that could have continued these events, and did not."""
        return self._close(
            [label for label, e in self._open.items() if frame - e.end_frame >= self.rules[label].bridge_frames]
        )

    def _close(self, labels: list[int]) -> list[tuple[Event, int]]:
        out = []
        for label in sorted(set(labels)):
            event = self._open.pop(label)
            if event.windows >= self.rules[label].min_windows:
                out.append((event.closed(label), event.number))
        return out
