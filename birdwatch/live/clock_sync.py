"""Clock synchronisation: the line from frame numbers to UTC, moved as clocks drift or are set.

A sound card's clock is off by tens of parts per million, which makes seconds a day; the stamps of blocks are exact but
late by whatever the machine was doing. The least late arrival of every ten seconds ties frame numbers to the clock.
Audio that is late is not lost: only where the delay stays the same, so that nothing is catching up, is audio missing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, replace

from birdwatch.live.source import Stamp

__all__ = ["CLOCK_SET_NS", "ClockSync", "Jump"]

# Seconds of audio between two corrections of the drift; a bad sound card's 500 ppm make 5 ms in that time.
DRIFT_S = 10
# Smaller differences are the jitter of arrival and not worth a new segment.
MIN_DRIFT_NS = 1_000_000
# More than this is not drift: the audio is late, or some of it is missing.
MAX_DRIFT_NS = 100_000_000
# Audio is missing once the least delay of this many consecutive seconds has stayed within STEADY_NS. A stream that
# catches up over a link only 5 % faster than real time shrinks its delay by as much each second.
STEADY_SECONDS = 3
STEADY_NS = 50_000_000
# Steps of the wall clock below this are followed silently, as drift is.
MIN_JUMP_NS = 250_000_000
# Times that are further ahead of a clock that is set back follow it at once: at half speed they would have a wrong date
# for as long, which is months for a clock that stood in another year.
MAX_AHEAD_NS = 2 * 3600 * 1_000_000_000
# Segments that are kept, over an hour at one every ten seconds: events reach back no further.
SEGMENTS = 720
# 2025-01-01, before the first release: an earlier wall clock has not been set since the machine was switched on.
CLOCK_SET_NS = 1_735_689_600_000_000_000


@dataclass(frozen=True, slots=True)
class Jump:
    """A step in time: reason `clock-step` (wall clock, either sign) or `suspended` (the machine slept for `ns`)."""

    reason: str
    ns: int


@dataclass(frozen=True, slots=True)
class _Segment:
    """From `frame` on: its time on both clocks, and the UTC below which nothing may fall to keep times in order."""

    frame: int
    steady_ns: int
    utc_ns: int
    floor_ns: int


class ClockSync:
    """The times of one stream's frames at `rate_hz`; frame 0 was at `start`.

    A wall clock that is set forward corrects the times of earlier frames too; after one that is set back, times advance
    at half speed until it has caught up. So UTC never runs backwards, except where the clock was ahead by more than two
    hours: that date was wrong. `adjusted_ns` is the sum of all drift corrections.
    """

    def __init__(self, rate_hz: int, start: Stamp) -> None:
        self.rate_hz = rate_hz
        self.adjusted_ns = 0
        # Whether a time was handed out, which later ones must not precede.
        self._told = False
        self._offset_ns = start.utc_ns - start.steady_ns
        self._asleep_ns = start.steady_ns - start.awake_ns
        self._segments: deque[_Segment] = deque(maxlen=SEGMENTS)
        self._segments.append(_Segment(0, start.steady_ns, start.utc_ns, start.utc_ns))
        self._least_ns: int | None = None
        self._second_ns: int | None = None
        self._delays_ns: deque[int] = deque(maxlen=STEADY_SECONDS)
        self._correct_at = self._second_ends = 0
        self.rebase(0)

    @property
    def clock_unset(self) -> bool:
        """Whether the wall clock still stands before this program's first release."""
        last = self._segments[-1]
        return last.steady_ns + self._offset_ns < CLOCK_SET_NS

    def jumps(self, end_frame: int, stamp: Stamp) -> list[Jump]:
        """What happened to the clocks since the last call; the stream stands at `end_frame`."""
        out = []
        slept = stamp.steady_ns - stamp.awake_ns - self._asleep_ns
        if slept >= MIN_JUMP_NS:
            self._asleep_ns += slept
            out.append(Jump("suspended", slept))
        stepped = stamp.utc_ns - stamp.steady_ns - self._offset_ns
        if abs(stepped) >= MIN_JUMP_NS:
            if stepped > 0:
                # The wall clock was behind since it was last set: what is not sent yet gets its true time.
                self._correct(stepped)
            self._offset_ns += stepped
            self._anchor(end_frame, self.steady_ns(end_frame))
            out.append(Jump("clock-step", stepped))
        return out

    def observe(self, end_frame: int, stamp: Stamp) -> int:
        """A block ended with `end_frame` and arrived at `stamp`; returns how many frames are missing before it.

        0 as a rule. More where the delay has stayed over MAX_DRIFT_NS without changing: the caller counts them as a
        gap, which brings its frame numbers back to the line.
        """
        late_ns = stamp.steady_ns - self.steady_ns(end_frame)
        if late_ns < -MAX_DRIFT_NS:
            # Audio cannot arrive before it is captured: the stream began earlier than assumed.
            self._follow(end_frame, late_ns, stamp)
            late_ns = 0
        self._least_ns = late_ns if self._least_ns is None else min(self._least_ns, late_ns)
        missing_ns = self._missing(end_frame, late_ns)
        if missing_ns:
            self.rebase(end_frame)
            return missing_ns * self.rate_hz // 1_000_000_000
        if end_frame >= self._correct_at:
            least_ns = self._least_ns
            self._least_ns, self._correct_at = None, end_frame + DRIFT_S * self.rate_hz
            if least_ns <= MAX_DRIFT_NS:
                self._follow(end_frame, least_ns, stamp)
        return 0

    def start_at(self, frame: int, steady_ns: int) -> None:
        """Tie `frame` to a moment of the steady clock: the stream's true beginning, a little after it was asked for."""
        utc_ns = steady_ns + self._offset_ns
        self._segments.clear()
        self._segments.append(_Segment(frame, steady_ns, utc_ns, utc_ns))
        self.rebase(frame)

    def rebase(self, end_frame: int) -> None:
        """Forget the delays seen so far: those before a gap say nothing about what comes after it."""
        self._least_ns = self._second_ns = None
        self._delays_ns.clear()
        self._correct_at = end_frame + DRIFT_S * self.rate_hz
        self._second_ends = end_frame + self.rate_hz

    def frame_at(self, steady_ns: int) -> int:
        """The frame that the newest line puts at a moment of the steady clock."""
        last = self._segments[-1]
        return last.frame + (steady_ns - last.steady_ns) * self.rate_hz // 1_000_000_000

    def steady_ns(self, frame: int) -> int:
        """The steady clock's time of a frame."""
        segment = self._segment(frame)
        return segment.steady_ns + self._ns(frame - segment.frame)

    def utc_ns(self, frame: int) -> int:
        """The UTC of a frame, in nanoseconds since 1970."""
        self._told = True
        return self.estimate_ns(frame)

    def end_ns(self, frame: int) -> int:
        """The UTC at which the frames before `frame` end; it differs from that of `frame` where the clock was set."""
        self._told = True
        return self._on(self._segment(frame - 1), frame)

    def estimate_ns(self, frame: int) -> int:
        """As `utc_ns`, for a use that allows the times of earlier frames to be corrected later."""
        return self._on(self._segment(frame), frame)

    def _on(self, segment: _Segment, frame: int) -> int:
        ahead_ns = self._ns(frame - segment.frame)
        if ahead_ns < 0:
            return segment.utc_ns + ahead_ns
        return max(segment.utc_ns + ahead_ns, segment.floor_ns + ahead_ns // 2)

    def _missing(self, end_frame: int, late_ns: int) -> int:
        """How long a steady delay is that only missing audio explains, in nanoseconds; 0 for none."""
        self._second_ns = late_ns if self._second_ns is None else min(self._second_ns, late_ns)
        if end_frame < self._second_ends:
            return 0
        self._delays_ns.append(self._second_ns)
        self._second_ns, self._second_ends = None, end_frame + self.rate_hz
        least_ns = min(self._delays_ns)
        steady = len(self._delays_ns) == STEADY_SECONDS and max(self._delays_ns) - least_ns <= STEADY_NS
        return least_ns if steady and least_ns > MAX_DRIFT_NS else 0

    def _follow(self, end_frame: int, drift_ns: int, stamp: Stamp) -> None:
        """Move the line by the drift of the device's clock and of the wall clock."""
        step_ns = stamp.utc_ns - stamp.steady_ns - self._offset_ns
        if abs(drift_ns) >= MIN_DRIFT_NS or abs(step_ns) >= MIN_DRIFT_NS:
            self._offset_ns += step_ns
            self.adjusted_ns += drift_ns
            if drift_ns < -MAX_DRIFT_NS and not self._told:
                self._move_past(drift_ns, drift_ns)
                return
            self._anchor(end_frame, self.steady_ns(end_frame) + drift_ns)

    def _correct(self, ns: int) -> None:
        """Move the UTC of the frames since the last step of the clock, which those before it had left behind."""
        wrong: deque[_Segment] = deque()
        while (
            self._segments and self._segments[-1].utc_ns - self._segments[-1].steady_ns - self._offset_ns < MIN_JUMP_NS
        ):
            wrong.appendleft(self._segments.pop())
        for segment in wrong:
            self._append(segment.frame, segment.steady_ns, segment.utc_ns + ns)

    def _move_past(self, steady_ns: int, utc_ns: int) -> None:
        """Move the times of all frames."""
        moved = [
            replace(
                s,
                steady_ns=s.steady_ns + steady_ns,
                utc_ns=s.utc_ns + utc_ns,
                floor_ns=s.floor_ns + utc_ns,
            )
            for s in self._segments
        ]
        self._segments = deque(moved, maxlen=SEGMENTS)

    def _anchor(self, frame: int, steady_ns: int) -> None:
        self._append(frame, steady_ns, steady_ns + self._offset_ns)

    def _append(self, frame: int, steady_ns: int, utc_ns: int) -> None:
        floor_ns = self.estimate_ns(frame) if self._segments else utc_ns
        if floor_ns - utc_ns > MAX_AHEAD_NS:
            floor_ns = utc_ns
        if self._segments and self._segments[-1].frame == frame:
            self._segments.pop()
        self._segments.append(_Segment(frame, steady_ns, utc_ns, floor_ns))

    def _segment(self, frame: int) -> _Segment:
        if frame >= self._segments[-1].frame:
            return self._segments[-1]
        found = bisect_right(self._segments, frame, key=lambda segment: segment.frame)
        return self._segments[max(0, found - 1)]

    def _ns(self, frames: int) -> int:
        return frames * 1_000_000_000 // self.rate_hz
