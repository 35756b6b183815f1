"""Makes chunks of a network stream's decoded frames; detects missing audio and streams slower than real time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from birdwatch.audio.limits import RATES_HZ
from birdwatch.errors import StreamError
from birdwatch.live.source import Chunk, Clock, Stamp

__all__ = ["Pieces", "Windows", "gathered", "piece_s"]

# Audio is decoded and handed over in pieces of this length: with packets of 20 ms, one by one, a hundred threads did
# nothing but wait for the interpreter's lock.
PIECE_S = 0.08
# With more streams than this, pieces are longer in proportion, up to the second: each costs the same, short or long.
FEW_STREAMS, MAX_PIECE_S = 40, 0.25
# Where it is known when windows are complete, nothing in between is urgent. Sockets hold so much of PCM.
LONG_PIECE_S = 0.9
# A thread sleeps until a piece has nearly arrived, and is woken by packets only for this part of it.
AWAKE_S = 0.05
# A server sends several packets at a time and a busy machine wakes threads late: a delay up to this is jitter as long
# as a piece of the last while had less.
MAX_JITTER_S, LAG_MEMORY_S = 0.25, 30.0
# A stream that is so far behind its own beginning is slower than real time: a new connection begins at the present.
MAX_LAG_S = 15.0
# Timestamps jump by up to a packet where containers round them; by more, packets were lost. Above the second bound
# the server began anew.
MIN_JUMP_S, MAX_JUMP_S = 0.05, 10.0
# A real-time protocol's first timestamps are corrected when the first sender report arrives.
SETTLING_S = 3.0


def piece_s(streams: int) -> float:
    """How long a piece is where so many streams are open, in seconds."""
    return min(MAX_PIECE_S, PIECE_S * max(1.0, streams / FEW_STREAMS))


@dataclass(frozen=True, slots=True)
class Windows:
    """When windows are complete: at `at_s` seconds of a stream, and each `every_s` before and after that."""

    at_s: float
    every_s: float

    def piece_s(self, made_s: float) -> float:
        """How long the next piece is after `made_s` seconds: equal pieces, and one ends where a window does."""
        left_s = (self.at_s - made_s) % self.every_s
        # It ends there, but for the rounding of times.
        left_s += self.every_s if left_s < 1e-3 else 0.0
        return left_s / math.ceil(left_s / LONG_PIECE_S)


def gathered(packets: Iterator[Any], ticks_per_s: float, length_s: Callable[[], float]) -> Iterator[list[Any]]:
    """Packets, as many at a time as last for a piece. Raises what reading them raises, after the last of them.

    ticks_per_s: the unit of their times. length_s: how long the next piece is, in seconds.
    """
    fault: Exception | None = None
    while fault is None:
        held: list[Any] = []
        enough = length_s() * ticks_per_s
        try:
            while _length(held) < enough:
                held.append(next(packets))
        except Exception as error:
            fault = error
        if held:
            yield held
    if not isinstance(fault, StopIteration):
        raise fault


def _length(packets: list[Any]) -> float:
    """How many ticks packets last, as far as they say; infinite where they do not."""
    if not packets:
        return 0.0
    first, last = packets[0].pts, packets[-1].pts
    return math.inf if first is None or last is None else float(last + (packets[-1].duration or math.inf) - first)


class Pieces:
    """Makes chunks of frames, each stamped when it is complete and given to `put`."""

    def __init__(self, name: str, clock: Clock, put: Callable[[Chunk], None]) -> None:
        from birdwatch.audio.ffmpeg_frames import samples_of_all

        self._track = _Track(name, clock)
        self._samples_of_all = samples_of_all
        self._put = put
        self._held: list[Any] = []
        self._lost_frames = 0
        # When windows are complete, in seconds of what was put; None where nobody said.
        self.windows: Windows | None = None
        self._made_s = 0.0

    def length_s(self, streams: int) -> float:
        """How long the next piece is where so many streams are open."""
        if self.windows is None or streams <= FEW_STREAMS:
            return piece_s(streams)
        return self.windows.piece_s(self._made_s)

    @property
    def reason(self) -> str:
        """Why the stream ends, where `add` has raised: `stall` or `stream-lost`."""
        return self._track.reason

    def add(self, frames: list[Any], arrived: Stamp) -> None:
        """Take decoded frames of packets that had arrived at a moment.

        Raises StreamError where the stream must be opened anew, after what came before.
        """
        try:
            for frame in frames:
                if lost_frames := self._track.follow(frame):
                    self._flush(arrived)
                    self._lost_frames = lost_frames
                self._held.append(frame)
        finally:
            self._flush(arrived)
        self._track.check_pace(arrived)

    def rest_s(self, length_s: float) -> float:
        """How long nothing needs to be read before the next piece of `length_s` can be complete."""
        return self._track.ahead_s() + length_s - AWAKE_S

    def _flush(self, arrived: Stamp) -> None:
        if self._held:
            rate_hz = self._held[0].rate
            samples = self._samples_of_all(self._held)
            self._put(Chunk(samples, rate_hz, self._track.stamp(arrived), self._lost_frames, lost_reason="stream-lost"))
            self._made_s += len(samples) / rate_hz
            self._held, self._lost_frames = [], 0


class _Track:
    """Compares a stream's timestamps with what arrived: lost packets, another rate, too slow."""

    def __init__(self, name: str, clock: Clock) -> None:
        self.reason = "stream-lost"
        self._name = name
        self._clock = clock
        self._format: tuple[int, int] | None = None
        self._next_s: float | None = None
        self._received_s = 0.0
        self._least_lag_s: float | None = None
        # Of the pieces of the last while, each with the seconds that had been received.
        self._lags_s: deque[tuple[float, float]] = deque()

    def follow(self, frame: Any) -> int:
        """How many frames are missing before `frame`. Raises StreamError where the stream must be opened anew."""
        form = (frame.rate, frame.layout.nb_channels)
        if not RATES_HZ[0] <= frame.rate <= RATES_HZ[1]:
            raise StreamError(f"{self._name} has a rate of {frame.rate} Hz, expected {RATES_HZ[0]} to {RATES_HZ[1]}")
        self._format = self._format or form
        if form != self._format:
            raise StreamError(f"{self._name} changed from {_text(self._format)} to {_text(form)}")
        length_s = frame.samples / frame.rate
        missing_s = 0.0
        at_s = frame.time
        if at_s is not None and self._next_s is not None and self._received_s > SETTLING_S:
            missing_s = at_s - self._next_s
            if abs(missing_s) > MAX_JUMP_S:
                raise StreamError(f"{self._name} began anew: its timestamps jumped by {missing_s:.1f} s")
        if missing_s < MIN_JUMP_S:
            missing_s = 0.0
        if at_s is not None:
            self._next_s = at_s + length_s
        self._received_s += length_s + missing_s
        return round(missing_s * float(frame.rate))

    def check_pace(self, arrived: Stamp) -> None:
        """Raises StreamError where the stream is slower than real time."""
        lag_s = arrived.awake_ns / 1e9 - self._received_s
        self._least_lag_s = lag_s if self._least_lag_s is None else min(self._least_lag_s, lag_s)
        if lag_s - self._least_lag_s > MAX_LAG_S:
            self.reason = "stall"
            raise StreamError(f"{self._name} is slower than real time, by {lag_s - self._least_lag_s:.0f} s so far")

    def ahead_s(self) -> float:
        """How far what was received is ahead of the clock, with the usual delay; negative where it is behind."""
        return self._usual_lag_s() + self._received_s - self._clock.now().awake_ns / 1e9

    def stamp(self, arrived: Stamp) -> Stamp:
        """When the audio so far would have arrived without jitter."""
        lag_s = arrived.awake_ns / 1e9 - self._received_s
        self._lags_s.append((self._received_s, lag_s))
        while self._lags_s[0][0] < self._received_s - LAG_MEMORY_S:
            self._lags_s.popleft()
        late_s = lag_s - self._usual_lag_s()
        late_ns = round(late_s * 1e9) if late_s <= MAX_JITTER_S else 0
        return Stamp(arrived.steady_ns - late_ns, arrived.awake_ns - late_ns, arrived.utc_ns - late_ns)

    def _usual_lag_s(self) -> float:
        return min((lag_s for _, lag_s in self._lags_s), default=math.inf)


def _text(form: tuple[int, int]) -> str:
    return f"{form[0]} Hz, {form[1]} channels"
