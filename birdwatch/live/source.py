"""The protocol of a live source: its chunks, the clocks of their time stamps, and the calls of the daemon."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from birdwatch.audio.types import FloatArray

__all__ = ["DEVICE", "PIPE", "STREAM", "Chunk", "Clock", "Paced", "Source", "Stamp", "SystemClock", "Traits"]


@dataclass(frozen=True, slots=True)
class Stamp:
    """One moment on three clocks, in nanoseconds.

    steady_ns: never steps and runs while the machine is suspended. awake_ns: never steps and stands still then.
    utc_ns: since 1970; steps when the clock is set.
    """

    steady_ns: int
    awake_ns: int
    utc_ns: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one call of the sound library brought.

    samples: float32 `(n, channels)` at `rate_hz`, as the device gave them. stamp: when it arrived, so about the time
    of its last frame. lost_frames: how many frames before it were lost, for `lost_reason`. overflow: the sound library
    says that it lost frames before this chunk, and not how many.
    """

    samples: FloatArray
    rate_hz: int
    stamp: Stamp
    lost_frames: int = 0
    overflow: bool = False
    lost_reason: str = "queue-full"


@dataclass(frozen=True, slots=True)
class Traits:
    """How a kind of source behaves.

    buffered: audio that does not arrive is late and not lost, as in a pipe. can_wait: nothing is lost where it is not
    read for a while. silent_s: after so long without audio it
    is stalled. opening_s: it opens, or fails to, within this time; else the library that opens it hangs. retries_s:
    seconds between attempts to open it; the last one repeats.
    """

    buffered: bool
    can_wait: bool
    silent_s: float
    opening_s: float
    retries_s: tuple[float, ...]


# PortAudio may report a stream as active whose callback it never calls again (its issue 930). One that is plugged in
# is to be open within ten seconds.
DEVICE = Traits(buffered=False, can_wait=False, silent_s=2.5, opening_s=10.0, retries_s=(0.5, 1.0, 2.0, 4.0))
PIPE = Traits(buffered=True, can_wait=True, silent_s=2.5, opening_s=10.0, retries_s=(1.0,))
# HLS delivers segments of up to ten seconds at once. A server that is down is asked twice a minute.
STREAM = Traits(
    buffered=True, can_wait=False, silent_s=14.0, opening_s=float("inf"), retries_s=(1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
)


class Clock(Protocol):
    """The clocks of the daemon."""

    def now(self) -> Stamp:
        """This moment."""
        ...


class Source(Protocol):
    """A microphone, stream, file or pipe. No call blocks longer than its timeout: what may hang runs in a thread."""

    @property
    def name(self) -> str:
        """What the status calls it: a device's stable identity, a file's path, or `-`."""
        ...

    @property
    def live(self) -> bool:
        """Whether it runs in real time and loses what is not read; a file waits."""
        ...

    @property
    def finished(self) -> bool:
        """Whether it has ended for good, as a file does."""
        ...

    @property
    def traits(self) -> Traits:
        """How it behaves when nothing arrives, and when it is lost."""
        ...

    @property
    def lost_reason(self) -> str:
        """The reason of the gap where it ended by itself: `device-lost`, `stream-lost` or `stall`."""
        ...

    def open(self) -> None:
        """Begin to open it, or to close and open it again. Returns at once; ask `ready` for the outcome."""
        ...

    def ready(self) -> bool:
        """Whether it is open; False while that is under way. Raises SourceError, once, where it failed."""
        ...

    def read(self, timeout_s: float) -> list[Chunk]:
        """What has arrived, waiting at most `timeout_s` for it.

        Raises DeviceError or StreamError, once, where the device or stream is gone.
        """
        ...

    def close(self) -> None:
        """Stop. Returns within a few seconds even where the sound library hangs."""
        ...


@runtime_checkable
class Paced(Source, Protocol):
    """A source that reads ahead in pieces, and need not hurry between two windows."""

    def expect_window(self, in_s: float, every_s: float) -> None:
        """A window is complete `in_s` seconds of audio after what was read, and one each `every_s` from then on."""
        ...


class SystemClock:
    """The machine's own clocks."""

    # Without CLOCK_BOOTTIME (macOS, Windows) a suspension shows as a stall.
    _STEADY = getattr(time, "CLOCK_BOOTTIME", None)

    def now(self) -> Stamp:
        """Read the three clocks so close together that they speak of one moment."""
        for _ in range(4):
            before = time.monotonic_ns()
            utc = time.time_ns()
            steady = time.clock_gettime_ns(self._STEADY) if self._STEADY is not None else before
            # If the thread is preempted between two of these calls, the clock would seem to have been set.
            if time.monotonic_ns() - before < 200_000:
                break
        return Stamp(steady, before, utc)
