"""Aggregates the scores of windows to those of recordings and segments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
import numpy.typing as npt

from birdwatch.audio.types import FloatArray
from birdwatch.model.types import WindowScores
from birdwatch.scores.accounting import Accounting
from birdwatch.scores.events import WindowResult
from birdwatch.scores.policy import ScoringPolicy
from birdwatch.scores.types import Event, SkippedWindow

__all__ = ["Maximum", "Overlap", "RecordingFold", "SegmentMaximum", "SegmentMean", "segment_scores", "segments_of"]

# What a segment's score is of the windows that overlap it: see SegmentMaximum and SegmentMean.
Overlap = Literal["max", "mean"]


class Maximum:
    """The running maximum over windows: `push` each, read `scores` `(classes,)` and `windows` at any time."""

    def __init__(self, classes: int) -> None:
        self.scores: FloatArray = np.zeros(classes, np.float32)
        self.windows = 0

    def push(self, window: WindowScores) -> None:
        """Take one more window into account."""
        np.maximum(self.scores, window.scores, out=self.scores)
        self.windows += 1


class RecordingFold:
    """Folds the windows of one recording, in order, into its maximum, detections, events and accounting.

    Frames are at `rate_hz`, the model's rate.
    """

    def __init__(self, policy: ScoringPolicy, rate_hz: int) -> None:
        self.maximum = Maximum(len(policy.rules))
        self.accounting = Accounting()
        self._tracker = policy.tracker(rate_hz)

    def push(self, item: WindowScores | SkippedWindow) -> WindowResult:
        """The detections of a window, and the events that end with it."""
        end = item.start_frame + item.valid_frames
        self.accounting.capture(max(0, end - self.accounting.end_frame))
        if isinstance(item, SkippedWindow):
            self.accounting.settle(item.start_frame, end, "skipped_silent")
            return WindowResult((), self._tracker.quiet(item.start_frame))
        self.accounting.settle(item.start_frame, end, "analysed")
        self.maximum.push(item)
        return self._tracker.push(item)

    def finish(self, end_frame: int) -> tuple[tuple[Event, int], ...]:
        """The events that the end of the recording ends; frames up to `end_frame` that no window held are dropped."""
        self.accounting.capture(max(0, end_frame - self.accounting.end_frame))
        self.accounting.settle(self.accounting.end_frame, self.accounting.end_frame, "dropped")
        return self._tracker.finish()


class SegmentMaximum:
    """The scores of consecutive segments, the competition's rows: `push` windows in order, `finish` at the end.

    A segment's score is the maximum over the windows of which at least half lies inside it. With a hop of one segment
    that is exactly one window. A segment is given out, float32 `(classes,)`, once no later window can touch it.
    """

    def __init__(self, segment_frames: int, classes: int) -> None:
        self.segment_frames = segment_frames
        self.classes = classes
        self._given = 0
        self._open: list[FloatArray] = []

    def skip(self, window: SkippedWindow) -> list[FloatArray]:
        """A window that was not scored: its segments are 0 where no other window reaches them."""
        return self.push(WindowScores(window.start_frame, window.valid_frames, np.zeros(self.classes, np.float32)))

    def push(self, window: WindowScores) -> list[FloatArray]:
        """The segments that lie before `window`; windows must come in order of their start."""
        half, length = self.segment_frames // 2, self.segment_frames
        # |start - k * segment| <= segment / 2: one segment, or two where the window straddles them equally.
        first = max(0, -((half - window.start_frame) // length))
        last = (window.start_frame + half) // length
        done = []
        while self._given < first:
            done.append(self._open.pop(0) if self._open else np.zeros(self.classes, np.float32))
            self._given += 1
        for segment in range(first, last + 1):
            # The segment behind the last audio is no segment: its start must lie inside the window's audio.
            if segment * length >= window.start_frame + window.valid_frames:
                continue
            while len(self._open) <= segment - self._given:
                self._open.append(np.zeros(self.classes, np.float32))
            row = self._open[segment - self._given]
            np.maximum(row, window.scores, out=row)
        return done

    def finish(self) -> list[FloatArray]:
        """The segments that the end completes."""
        rows, self._open = self._open, []
        self._given += len(rows)
        return rows


class SegmentMean:
    """As `SegmentMaximum`, but a segment's score is the mean over all windows, weighed by the frames that they share.

    Only a window's own audio counts, not what it is padded with. The last segment ends where the last audio does.
    """

    def __init__(self, segment_frames: int, classes: int) -> None:
        self.segment_frames = segment_frames
        self.classes = classes
        self._given = 0
        self._open: dict[int, tuple[npt.NDArray[np.float64], int]] = {}

    def skip(self, window: SkippedWindow) -> list[FloatArray]:
        """A window that was not scored counts with scores of 0."""
        return self.push(WindowScores(window.start_frame, window.valid_frames, np.zeros(self.classes, np.float32)))

    def push(self, window: WindowScores) -> list[FloatArray]:
        """The segments that end before `window`; windows must come in order of their start."""
        length, end = self.segment_frames, window.start_frame + window.valid_frames
        first = window.start_frame // length
        done = self._until(first)
        for segment in range(first, -(-end // length)):
            shared = min(end, (segment + 1) * length) - max(window.start_frame, segment * length)
            total, weight = self._open.get(segment, (np.zeros(self.classes), 0))
            self._open[segment] = total + shared * window.scores.astype(np.float64), weight + shared
        return done

    def finish(self) -> list[FloatArray]:
        """The segments that the end completes."""
        return self._until(max(self._open, default=self._given - 1) + 1)

    def _until(self, segment: int) -> list[FloatArray]:
        done = []
        while self._given < segment:
            total, weight = self._open.pop(self._given, (np.zeros(self.classes), 1))
            done.append((total / weight).astype(np.float32))
            self._given += 1
        return done


def segments_of(overlap: Overlap, segment_frames: int, classes: int) -> SegmentMaximum | SegmentMean:
    """What makes segments of windows."""
    return (SegmentMean if overlap == "mean" else SegmentMaximum)(segment_frames, classes)


def segment_scores(
    windows: Iterable[WindowScores], *, segment_frames: int, classes: int, overlap: Overlap = "max"
) -> npt.NDArray[np.float32]:
    """All segments `(segments, classes)` of windows in order."""
    segments = segments_of(overlap, segment_frames, classes)
    rows = [row for window in windows for row in segments.push(window)] + segments.finish()
    return np.stack(rows) if rows else np.zeros((0, classes), np.float32)
