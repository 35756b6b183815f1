"""Frame numbers to time: a line through the blocks' arrival, moved as a clock drifts or is set.

Frames say how much audio came and a sound card's clock is off by tens of parts in a million, seconds a day; stamps
say when a block arrived, late by whatever the machine was doing. The least late arrival of each ten seconds ties the
two together.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass

from birdwatch.live.source import Stamp

__all__ = ["Jump", "Timeline"]

# How much audio lies between two looks at the drift; a bad sound card's 500 ppm make 5 ms of it.
LOOK_S = 10
# Less is the noise of arrival, and not worth a new segment.
MIN_DRIFT_NS = 1_000_000
# More than this is no drift: audio was lost and nobody said so.
MAX_DRIFT_NS = 100_000_000
# Steps of the wall clock below this are taken over without a word, as drift is.
MIN_JUMP_NS = 250_000_000
# Segments that are remembered, an hour and more at one every ten seconds: events reach back no further.
SEGMENTS = 720


@dataclass(frozen=True, slots=True)
class Jump:
    """A step in time: reason `clock-step` (wall clock, either sign) or `suspended` (the machine slept for `ns`)."""

    reason: str
    ns: int


@dataclass(frozen=True, slots=True)
class _Segment:
    """From `frame` on: its time on both clocks, and the UTC below which nothing may fall for the sake of order."""

    frame: int
    steady_ns: int
    utc_ns: int
    floor_ns: int


class Timeline:
    """The times of one stream's frames at `rate_hz`; frame 0 was at `start`.

    UTC never runs backwards: after the wall clock was set back, the times handed out go on at half speed until it has
    caught up. `adjusted_ns` is how far the line was moved in all to follow the device's clock.
    """

    def __init__(self, rate_hz: int, start: Stamp) -> None:
        self.rate_hz = rate_hz
        self.adjusted_ns = 0
        self._offset_ns = start.utc_ns - start.steady_ns
        self._asleep_ns = start.steady_ns - start.awake_ns
        self._segments: deque[_Segment] = deque(maxlen=SEGMENTS)
        self._segments.append(_Segment(0, start.steady_ns, start.utc_ns, start.utc_ns))
        self._least_ns: int | None = None
        self._look_at = LOOK_S * rate_hz

    def jumps(self, end_frame: int, stamp: Stamp) -> list[Jump]:
        """What happened to the clocks since the last call; the stream stands at `end_frame`."""
        out = []
        slept = stamp.steady_ns - stamp.awake_ns - self._asleep_ns
        if slept >= MIN_JUMP_NS:
            self._asleep_ns += slept
            out.append(Jump("suspended", slept))
        stepped = stamp.utc_ns - stamp.steady_ns - self._offset_ns
        if abs(stepped) >= MIN_JUMP_NS:
            self._offset_ns += stepped
            self._anchor(end_frame, self.steady_ns(end_frame))
            out.append(Jump("clock-step", stepped))
        return out

    def observe(self, end_frame: int, stamp: Stamp) -> int:
        """A block ended with `end_frame` and arrived at `stamp`; returns how many frames are missing before it.

        0 as a rule. More where frames have fallen so far behind the clock that audio must have been lost: the caller
        counts them as a gap, which brings its frame numbers back to the line.
        """
        late_ns = stamp.steady_ns - self.steady_ns(end_frame)
        self._least_ns = late_ns if self._least_ns is None else min(self._least_ns, late_ns)
        if end_frame < self._look_at:
            return 0
        least_ns = self._least_ns
        self.rebase(end_frame)
        if least_ns > MAX_DRIFT_NS:
            return least_ns * self.rate_hz // 1_000_000_000
        step_ns = stamp.utc_ns - stamp.steady_ns - self._offset_ns
        if abs(least_ns) >= MIN_DRIFT_NS or abs(step_ns) >= MIN_DRIFT_NS:
            self._offset_ns += step_ns
            self._shift(end_frame, least_ns)
        return 0

    def start_at(self, frame: int, steady_ns: int) -> None:
        """Tie `frame` to a moment of the steady clock: the stream's true beginning, a little after it was asked for."""
        utc_ns = steady_ns + self._offset_ns
        self._segments.clear()
        self._segments.append(_Segment(frame, steady_ns, utc_ns, utc_ns))
        self.rebase(frame)

    def rebase(self, end_frame: int) -> None:
        """Begin a new look at the drift: what was seen before a hole says nothing about what comes after."""
        self._least_ns = None
        self._look_at = end_frame + LOOK_S * self.rate_hz

    def frame_at(self, steady_ns: int) -> int:
        """The frame that the newest line puts at a moment of the steady clock."""
        last = self._segments[-1]
        return last.frame + (steady_ns - last.steady_ns) * self.rate_hz // 1_000_000_000

    def steady_ns(self, frame: int) -> int:
        """The steady clock's time of a frame."""
        segment = self._segment(frame)
        return segment.steady_ns + self._ns(frame - segment.frame)

    def utc_ns(self, frame: int) -> int:
        """The UTC of a frame, in nanoseconds since 1970; later frames never have earlier times."""
        segment = self._segment(frame)
        ahead_ns = self._ns(frame - segment.frame)
        if ahead_ns < 0:
            return segment.utc_ns + ahead_ns
        return max(segment.utc_ns + ahead_ns, segment.floor_ns + ahead_ns // 2)

    def _shift(self, frame: int, ns: int) -> None:
        self.adjusted_ns += ns
        self._anchor(frame, self.steady_ns(frame) + ns)

    def _anchor(self, frame: int, steady_ns: int) -> None:
        floor_ns = self.utc_ns(frame)
        if self._segments[-1].frame == frame:
            self._segments.pop()
        self._segments.append(_Segment(frame, steady_ns, steady_ns + self._offset_ns, floor_ns))

    def _segment(self, frame: int) -> _Segment:
        if frame >= self._segments[-1].frame:
            return self._segments[-1]
        found = bisect_right(self._segments, frame, key=lambda segment: segment.frame)
        return self._segments[max(0, found - 1)]

    def _ns(self, frames: int) -> int:
        return frames * 1_000_000_000 // self.rate_hz
