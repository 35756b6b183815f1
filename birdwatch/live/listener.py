"""The live core: chunks of a source in; detections, events, recordings and gaps out. No thread, no socket, no sleep.

Audio that arrives is counted, placed in time and cut into windows that wait in a bounded queue; `score` takes them
from there. One loop calls both, so a network that is too slow costs windows, whole ones and the oldest first, and
never the capture.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from birdwatch.audio.finite import finite_runs
from birdwatch.audio.levels import Level, LevelMeter
from birdwatch.audio.types import AudioBlock, FloatArray, Gap, Window
from birdwatch.audio.windows import hop_frames_of
from birdwatch.errors import InferenceError
from birdwatch.live.frame_numbering import Placement
from birdwatch.live.source import Chunk, Stamp
from birdwatch.model.manifest import Manifest
from birdwatch.model.types import WindowScores
from birdwatch.scores.pipeline import WindowStream
from birdwatch.scores.policy import ScoringPolicy
from birdwatch.scores.recordings import Recordings
from birdwatch.scores.types import Detection, Event, RecordingMaximum

__all__ = ["MAX_PENDING", "EndedEvent", "Found", "Listener", "Result", "Scorer"]

# Windows that may wait for the network: a minute of audio at the 2.5 s hop, 15 MB.
MAX_PENDING = 24


class Scorer(Protocol):
    """The part of a classifier that listening needs."""

    @property
    def manifest(self) -> Manifest:
        """What the model is."""
        ...

    @property
    def sha256(self) -> str:
        """The checksum of its file."""
        ...

    @property
    def batch_size(self) -> int:
        """How many windows are scored at once at most."""
        ...

    @property
    def provider(self) -> str:
        """What computes now."""
        ...

    @property
    def setback(self) -> str | None:
        """Why it goes on with less than it began with, or None."""
        ...

    def score(self, samples: FloatArray) -> FloatArray:
        """Scores `(B, classes)` of windows `(B, window_frames)`; raises InferenceError."""
        ...


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


Result = Gap | Found | EndedEvent | RecordingMaximum


@dataclass(frozen=True, slots=True)
class _Mark:
    """A place in the queue: all captured before `frame` that no window reached is dropped; events may end here."""

    frame: int
    end_events: bool


class Listener:
    """One station's stream from its first chunk to its last, over any number of devices opened one after another.

    Frames are at the model's rate, frame 0 is at `start`, and they go on counting through gaps. recording_s: how long
    a recording is, None for one that lasts to the end. on_block: is shown each mono block at its device's own rate
    (for clips). `windows`, `detections`, `dropped_windows`, `invalid_frames` (NaN or infinity) are counts since
    the start, as is `inference_faults`; `inference_fault` is what the network said when it last failed.
    """

    def __init__(
        self,
        scorer: Scorer,
        policy: ScoringPolicy,
        start: Stamp,
        *,
        hop_s: float | None = None,
        recording: str = "live",
        recording_s: float | None = None,
        on_block: Callable[[AudioBlock], None] | None = None,
        max_pending: int = MAX_PENDING,
    ) -> None:
        manifest = scorer.manifest
        self.scorer = scorer
        self.policy = policy
        self._tracker = policy.tracker(manifest.rate_hz)
        self.rate_hz = manifest.rate_hz
        self.placement = Placement(self.rate_hz, start)
        self.timeline = self.placement.timeline
        self.accounting = self.placement.accounting
        self.windows = self.detections = self.dropped_windows = self.invalid_frames = self.waiting = 0
        self.inference_fault: str | None = None
        self.inference_faults = 0
        self._hop_s = hop_s
        self._hop_frames = hop_frames_of(hop_s, manifest.window_frames, self.rate_hz)
        frames = None if recording_s is None else max(1, round(recording_s * self.rate_hz))
        self._recordings = Recordings(recording, len(manifest.labels), self.rate_hz, frames=frames)
        self._on_block = on_block
        self._max_pending = max_pending
        self._queue: deque[Window | _Mark] = deque()
        self._stream: WindowStream | None = None
        self._meter = LevelMeter(1)
        self._device_rate_hz = 0

    @property
    def level(self) -> Level:
        """The level of the input."""
        return self._meter.level

    def use(self, policy: ScoringPolicy) -> None:
        """Apply another policy from the next window on; open events stay open."""
        self.policy = policy
        self._tracker.set_rules(policy.rules, None if policy.species is None else policy.species.allowed)

    def push(self, chunk: Chunk) -> list[Gap]:
        """Take one chunk: count it, place it in time, queue the windows it completes. Returns the gaps before it."""
        before = self.accounting.end_frame
        placed = self.placement.place(chunk)
        if placed.hole or placed.stepped:
            self._break(before, through=not placed.hole, end_events=placed.stepped)
        if self._stream is None or chunk.rate_hz != self._device_rate_hz:
            self._device_rate_hz = chunk.rate_hz
            self._stream = WindowStream(chunk.rate_hz, self.scorer.manifest, hop_s=self._hop_s)
            self._meter = LevelMeter(chunk.rate_hz)
        # NaN and infinity were captured and are dropped: no window spans them, and no clip holds them.
        runs = finite_runs(placed.block)
        self.invalid_frames += len(placed.block.samples) - sum(len(run.samples) for run in runs)
        for run in runs:
            self._meter.push(run.samples)
            if self._on_block is not None:
                self._on_block(run)
        self._enqueue(self._stream.push(placed.block))
        return list(placed.gaps)

    def interrupt(self, reason: str) -> None:
        """The device stopped. Its last windows are queued and its events end; the gap is counted when audio comes."""
        if not self.placement.interrupted:
            self.placement.interrupt(reason)
            self._break(self.accounting.end_frame, end_events=True)

    def score(self) -> list[Result]:
        """Score the oldest waiting windows, a batch at most. Costs nothing where none waits."""
        out: list[Result] = []
        batch: list[Window] = []
        while self._queue and len(batch) < self.scorer.batch_size:
            item = self._queue[0]
            if isinstance(item, Window) and self.policy.is_scored(item):
                batch.append(item)
            elif batch:
                break
            else:
                out += self._pass_by(item)
            self._queue.popleft()
        self.waiting -= len(batch)
        for window, scores in zip(batch, self._scores_of(batch), strict=True):
            out += self._lost(window) if scores is None else self._scored(window, scores)
        return out

    def drop_waiting(self) -> None:
        """Give up the windows that wait: there is no time left to score them."""
        while self.waiting:
            self._drop_oldest()

    def finish(self) -> list[Result]:
        """The end: score what waits, end all open events and the recording. Nothing is pending afterwards."""
        self.interrupt("stall")
        out: list[Result] = []
        while self._queue:
            out += self.score()
        end = self.accounting.end_frame
        return [*out, *_ended(self._tracker.finish()), *self._recordings.finish(end)]

    def _break(self, frame: int, *, through: bool = False, end_events: bool = False) -> None:
        """A place that no window spans (`through`: that windows may span) and, if it says so, no event."""
        if self._stream is not None and not through:
            self._enqueue(self._stream.finish())
        # Frames that windows may still reach are not settled here.
        settled = 0 if through else frame
        last = self._queue[-1] if self._queue else None
        if isinstance(last, _Mark):
            self._queue.pop()
            settled, end_events = max(settled, last.frame), end_events or last.end_events
        self._queue.append(_Mark(settled, end_events))

    def _enqueue(self, windows: list[Window]) -> None:
        self._queue.extend(windows)
        self.waiting += len(windows)
        while self.waiting > self._max_pending:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        for position, item in enumerate(self._queue):
            if isinstance(item, Window):
                del self._queue[position]
                self.waiting -= 1
                self._lost(item)
                return

    def _lost(self, window: Window) -> list[Result]:
        """A window goes unscored: what no later one will reach is dropped."""
        self.dropped_windows += 1
        self.accounting.settle(
            window.start_frame, window.start_frame + min(self._hop_frames, window.valid_frames), "dropped"
        )
        return []

    def _pass_by(self, item: Window | _Mark) -> list[Result]:
        if isinstance(item, _Mark):
            self.accounting.settle(item.frame, item.frame, "dropped")
            return _ended(self._tracker.finish()) if item.end_events else []
        self.waiting -= 1
        self.accounting.settle(item.start_frame, item.start_frame + item.valid_frames, "skipped_silent")
        return [*self._recordings.advance(item.start_frame), *_ended(self._tracker.quiet(item.start_frame))]

    def _scores_of(self, batch: list[Window]) -> list[FloatArray | None]:
        """Each window's scores, or None where the network failed on it."""
        if not batch:
            return []
        try:
            return list(self.policy.filtered(self.scorer.score(np.stack([window.samples for window in batch]))))
        except InferenceError as error:
            if len(batch) > 1:
                return [scores for window in batch for scores in self._scores_of([window])]
            self.inference_fault = str(error)
            self.inference_faults += 1
            return [None]

    def _scored(self, window: Window, scores: FloatArray) -> list[Result]:
        end = window.start_frame + window.valid_frames
        self.accounting.settle(window.start_frame, end, "analysed")
        self.windows += 1
        scored = WindowScores(window.start_frame, window.valid_frames, scores)
        result = self._tracker.push(scored)
        self.detections += len(result.detections)
        return [*self._recordings.push(scored), Found(end, result.detections), *_ended(result.ended)]


def _ended(events: Iterable[tuple[Event, int]]) -> list[Result]:
    return [EndedEvent(event, number) for event, number in events]
