"""The decoded frames of a network stream as chunks: what is missing between them, and whether it keeps up."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from birdwatch.audio.types import FloatArray
from birdwatch.errors import StreamError
from birdwatch.live.source import Chunk, Clock

__all__ = ["Pieces", "gathered", "piece_s"]

# Audio is decoded and handed over in pieces of this length: with packets of 20 ms, one by one, a hundred threads did
# nothing but wait for the interpreter's lock.
PIECE_S = 0.08
# With more streams than this, pieces are longer in proportion, up to the second: each costs the same, short or long.
FEW_STREAMS, MAX_PIECE_S = 40, 0.25
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


def gathered(packets: Iterator[Any], ticks_per_s: float, streams: Callable[[], int]) -> Iterator[list[Any]]:
    """Packets, as many at a time as last for a piece. Raises what reading them raises, after the last of them.

    ticks_per_s: the unit of their times. streams: how many are open.
    """
    fault: Exception | None = None
    while fault is None:
        held: list[Any] = []
        try:
            while _length(held) < piece_s(streams()) * ticks_per_s:
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
        from birdwatch.audio.ffmpeg_frames import samples_of

        self._track = _Track(name, clock)
        self._samples_of = samples_of
        self._put = put
        self._held: list[FloatArray] = []
        self._lost_frames = 0

    @property
    def reason(self) -> str:
        """Why the stream ends, where `add` has raised: `stall` or `stream-lost`."""
        return self._track.reason

    def add(self, frames: list[Any]) -> None:
        """Take decoded frames. Raises StreamError where the stream must be opened anew, after what came before."""
        try:
            for frame in frames:
                if lost_frames := self._track.follow(frame):
                    self._flush()
                    self._lost_frames = lost_frames
                self._held.append(self._samples_of(frame))
        finally:
            self._flush()
        self._track.check_pace()

    def _flush(self) -> None:
        if self._held:
            samples = self._held[0] if len(self._held) == 1 else np.concatenate(self._held)
            self._put(self._track.chunk(samples, self._lost_frames))
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

    def follow(self, frame: Any) -> int:
        """How many frames are missing before `frame`. Raises StreamError where the stream must be opened anew."""
        form = (frame.rate, frame.layout.nb_channels)
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

    def check_pace(self) -> None:
        """Raises StreamError where the stream is slower than real time."""
        lag_s = self._clock.now().awake_ns / 1e9 - self._received_s
        self._least_lag_s = lag_s if self._least_lag_s is None else min(self._least_lag_s, lag_s)
        if lag_s - self._least_lag_s > MAX_LAG_S:
            self.reason = "stall"
            raise StreamError(f"{self._name} is slower than real time, by {lag_s - self._least_lag_s:.0f} s so far")

    def chunk(self, samples: FloatArray, lost_frames: int) -> Chunk:
        """Decoded samples `(n, channels)`, stamped now."""
        assert self._format is not None
        return Chunk(samples, self._format[0], self._clock.now(), lost_frames, lost_reason="stream-lost")


def _text(form: tuple[int, int]) -> str:
    return f"{form[0]} Hz, {form[1]} channels"
