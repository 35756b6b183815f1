"""Fakes at the edges: clocks, sources and networks that tests drive by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from birdwatch.errors import DeviceError, InferenceError
from birdwatch.live.source import DEVICE, PIPE, Chunk, Stamp
from birdwatch.messaging.messages import Message
from birdwatch.model.manifest import Manifest

S = 1_000_000_000
# A moment in May, early in the morning.
UTC0_NS = 1_746_072_000 * S


class FakeClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.stamp = Stamp(1000 * S, 900 * S, UTC0_NS)

    def now(self) -> Stamp:
        return self.stamp

    def advance(self, seconds: float) -> None:
        self._add(round(seconds * S), round(seconds * S), round(seconds * S))

    def step(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self._add(0, 0, round(seconds * S))

    def suspend(self, seconds: float) -> None:
        self._add(round(seconds * S), 0, round(seconds * S))

    def _add(self, steady: int, awake: int, utc: int) -> None:
        old = self.stamp
        self.stamp = Stamp(old.steady_ns + steady, old.awake_ns + awake, old.utc_ns + utc)


class FakeScorer:
    """A network of three classes whose scores are what `rule` makes of a window's samples."""

    batch_size = 4
    provider = "CPUExecutionProvider"
    sha256 = "0" * 64
    setback: str | None = None

    def __init__(
        self, manifest: Manifest, rule: Callable[[NDArray[np.float32]], Iterable[float]] | None = None
    ) -> None:
        self.manifest = manifest
        self.rule = rule or (lambda samples: [min(1.0, float(np.max(np.abs(samples)))), 0.0, 0.0])
        self.calls = 0
        self.fault: str | None = None
        self.before_call: Callable[[int], None] = lambda windows: None

    def score(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        assert samples.dtype == np.float32
        assert np.isfinite(samples).all()
        self.before_call(len(samples))
        self.calls += len(samples)
        if self.fault:
            raise InferenceError(self.fault)
        return np.array([list(self.rule(window)) for window in samples], np.float32)

    def score_rows(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.repeat(self.score(samples)[:, None], self.manifest.segments, axis=1)


class FakeSource:
    """A device that delivers a chunk each `chunk_s` of its clock; every fault of a real one can be switched on.

    `read` moves the clock to where the next chunk is due, unless the device is absent, gone or stuck; what became due
    while it was not read comes all at once.
    """

    live = True
    finished = False
    traits = DEVICE
    lost_reason = "device-lost"
    most_s = float("inf")

    def __init__(self, clock: FakeClock, *, rate_hz: int = 32000, channels: int = 1, chunk_s: float = 0.1) -> None:
        self.clock = clock
        self.rate_hz = rate_hz
        self.channels = channels
        self.chunk_s = chunk_s
        self.name = "ALSA/Garden microphone"
        self.absent = False
        self.gone = False
        self.stuck = False
        self.open_hangs = False
        self.opens = 0
        self.is_open = False
        self.frame = 0
        self.make: Callable[[NDArray[np.int64]], NDArray[np.float64]] = lambda n: 0.1 * np.sin(n * 0.3)
        self.lost_frames = 0
        self.overflow = False
        self.closed = False
        self.due_ns = 0

    def open(self) -> None:
        self.opens += 1
        self.is_open = False

    def ready(self) -> bool:
        if self.is_open:
            return True
        if self.open_hangs:
            return False
        if self.absent:
            raise DeviceError("no input device is called 'Garden microphone'; see birdwatch devices")
        self.start()
        return True

    def read(self, timeout_s: float) -> list[Chunk]:
        if self.gone and self.is_open:
            self.is_open = False
            raise DeviceError("the device stopped")
        if self.stuck or not self.is_open:
            self.clock.advance(timeout_s)
            return []
        wait_ns = self.due_ns - self.clock.now().awake_ns
        if wait_ns > 0:
            self.clock.advance(wait_ns / S)
        chunks: list[Chunk] = []
        while self.due_ns <= self.clock.now().awake_ns and len(chunks) * self.chunk_s < self.most_s:
            chunks.append(self._chunk(self.due_ns - self.clock.now().awake_ns))
            self.due_ns += round(self.chunk_s * S)
        return chunks

    def start(self) -> None:
        """It is open, and its first chunk is under way."""
        self.gone = self.stuck = False
        self.is_open = True
        self.due_ns = self.clock.now().awake_ns + round(self.chunk_s * S)

    def lose(self, seconds: float) -> None:
        """That much audio never arrives."""
        self.frame += round(seconds * self.rate_hz)
        self.due_ns += round(seconds * S)

    def _chunk(self, ago_ns: int) -> Chunk:
        n = round(self.chunk_s * self.rate_hz)
        now = self.clock.now()
        stamp = Stamp(now.steady_ns + ago_ns, now.awake_ns + ago_ns, now.utc_ns + ago_ns)
        numbers = np.arange(self.frame, self.frame + n)
        self.frame += n
        samples = np.repeat(self.make(numbers).astype(np.float32)[:, None], self.channels, axis=1)
        lost, self.lost_frames = self.lost_frames, 0
        overflow, self.overflow = self.overflow, False
        return Chunk(samples, self.rate_hz, stamp, lost, overflow)

    def close(self) -> None:
        self.closed = True


class FakePipe(FakeSource):
    """A pipe: what it delivers is stamped when it is read, and what is not read waits in it.

    stuck: the link is down, and the other side keeps what it records. lose: the other side lost that much.
    """

    traits = PIPE
    # As a read of a real pipe.
    most_s = 1.0

    def _chunk(self, ago_ns: int) -> Chunk:
        return super()._chunk(0)


class FakeOutlet:
    """Keeps what was published."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.polls = 0

    def publish(self, message: Message) -> int:
        self.messages.append(message)
        return len(self.messages)

    def poll(self) -> None:
        self.polls += 1

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [dict(message.fields) for message in self.messages if message.kind == kind]


class FakeSystemd:
    """Keeps what systemd was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.fed = 0

    def ready(self, status: str) -> None:
        self.told.append(("ready", status))

    def status(self, text: str) -> None:
        self.told.append(("status", text))

    def progress(self) -> None:
        self.fed += 1

    def reloading(self) -> None:
        self.told.append(("reloading", ""))

    def stopping(self, status: str) -> None:
        self.told.append(("stopping", status))
