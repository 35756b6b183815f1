"""The live core: chunks of a source in; detections, events, recordings, gaps and faults out. No thread, no socket.

Audio that arrives is counted, numbered and cut into windows that wait in a bounded queue. `take` hands them to whoever
scores them, together with those of other stations; `settle` takes the scores back, in the same order. A network that is
too slow costs whole windows, the oldest first, and never the capture.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from birdwatch.audio.conditioning import Conditioner, Conditioning
from birdwatch.audio.finite import finite_runs
from birdwatch.audio.levels import Level, LevelMeter
from birdwatch.audio.types import AudioBlock, FloatArray, Window
from birdwatch.audio.windows import hop_frames_of
from birdwatch.live.clock_sync import ClockSync
from birdwatch.live.frame_numbering import FrameNumbering
from birdwatch.live.results import EndedEvent, Fault, Found, Result, Silent
from birdwatch.live.scorer import Scorer, scores_of
from birdwatch.live.source import Chunk, Paced, Stamp
from birdwatch.model.types import WindowScores
from birdwatch.scores.accounting import Accounting
from birdwatch.scores.pipeline import WindowStream
from birdwatch.scores.policy import ScoringPolicy
from birdwatch.scores.recordings import Recordings
from birdwatch.scores.rows import RowMean, rows_of
from birdwatch.scores.types import Event

__all__ = ["MAX_PENDING", "Listener"]

# Windows that may wait for the network: a minute of audio at the 2.5 s hop, 15 MB.
MAX_PENDING = 24
NO_CONDITIONING = Conditioning()


@dataclass(frozen=True, slots=True)
class _Mark:
    """A place in the queue: what no window reached before `frame` is dropped. stepped_at: where the clock first did."""

    frame: int
    end_events: bool
    stepped_at: int | None


class Listener:
    """One station's stream from its first chunk to its last, over any number of devices opened one after another.

    Frames are at the model's rate, frame 0 is at `start`, and numbering continues through gaps. recording_s: how long
    a recording is, None for one that lasts to the end. on_block: is called with each conditioned mono block at its
    device's own rate (for clips). channel: which one to take, None for the downmix. `windows`, `detections`,
    `dropped_windows` and `invalid_frames` (NaN or infinity) count since the start; `waiting` ones are not scored yet.
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
        channel: int | None = None,
        conditioning: Conditioning = NO_CONDITIONING,
        on_block: Callable[[AudioBlock], None] | None = None,
        max_pending: int = MAX_PENDING,
    ) -> None:
        manifest = scorer.manifest
        self.scorer = scorer
        self.policy = policy
        self._tracker = policy.tracker(manifest.rate_hz)
        self.rate_hz = manifest.rate_hz
        self.numbering = FrameNumbering(self.rate_hz, start, channel=channel)
        self.windows = self.detections = self.dropped_windows = self.invalid_frames = 0
        self._hop_s = hop_s
        self._hop_frames = hop_frames_of(hop_s, manifest.window_frames, self.rate_hz)
        self._mean = RowMean(self._hop_frames) if manifest.segments > 1 else None
        frames = None if recording_s is None else max(1, round(recording_s * self.rate_hz))
        self._recordings = Recordings(recording, len(manifest.labels), self.rate_hz, frames=frames)
        self._on_block = on_block
        self._max_pending = max_pending
        self._queue: deque[Window | _Mark] = deque()
        self._queued = self._taken = 0
        self._overtaken: list[Window] = []
        self._conditioning = conditioning
        self._conditioner: Conditioner | None = None
        self._stream: WindowStream | None = None
        self._meter = LevelMeter(1)
        self._device_rate_hz = 0

    @property
    def accounting(self) -> Accounting:
        """Where every frame went."""
        return self.numbering.accounting

    @property
    def clock_sync(self) -> ClockSync:
        """When each frame was."""
        return self.numbering.clock_sync

    @property
    def level(self) -> Level:
        """The input's level, and what looks broken about it."""
        return self._meter.level

    @property
    def waiting(self) -> int:
        """Windows that are not scored yet."""
        return self._queued + self._taken

    @property
    def queued(self) -> int:
        """Windows that were not taken yet."""
        return self._queued

    def expect(self, source: Paced) -> None:
        """Tell a source when windows are complete."""
        if self._stream is not None:
            source.expect_window(self._stream.lacking_s, self._hop_frames / self.rate_hz)

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be taken: no window, and no place where events end."""
        return not self._queue

    def use(self, policy: ScoringPolicy) -> None:
        """Apply another policy from the next window on; open events stay open."""
        self.policy = policy
        self._tracker.set_rules(policy.rules, None if policy.species is None else policy.species.allowed)

    def push(self, chunk: Chunk) -> list[Result]:
        """Take one chunk: number it, queue the windows that it completes. Returns the gaps before it and faults."""
        before = self.accounting.end_frame
        numbered = self.numbering.number(chunk)
        out: list[Result] = list(numbered.gaps)
        if out:
            out += self._break(before, end_events=numbered.stepped, stepped_at=before if numbered.stepped else None)
        if self._stream is None or chunk.rate_hz != self._device_rate_hz:
            self._device_rate_hz = chunk.rate_hz
            self._stream = WindowStream(chunk.rate_hz, self.scorer.manifest, hop_s=self._hop_s)
            self._meter = LevelMeter(chunk.rate_hz)
            self._conditioner = Conditioner(self._conditioning, chunk.rate_hz)
        # NaN and infinity were captured and are dropped: no window spans them, and no clip holds them.
        assert self._conditioner is not None
        block = self._conditioner.push(numbered.block)
        runs = finite_runs(block)
        invalid = len(block.samples) - sum(len(run.samples) for run in runs)
        # The level is the device's own: whether it clips is decided before the gain.
        for run in runs if block is numbered.block else finite_runs(numbered.block):
            self._meter.push(run.samples)
        if self._on_block is not None:
            for run in runs:
                self._on_block(run)
        out += self._enqueue(self._stream.push(block, runs))
        if invalid:
            self.invalid_frames += invalid
            out.append(Fault("bad-audio", "the input contains NaN or infinity, which is dropped"))
        return out

    def interrupt(self, reason: str) -> list[Result]:
        """The device stopped. Its last windows are queued and its events end; the gap is counted when audio comes."""
        interrupted = self.numbering.interrupted
        self.numbering.interrupt(reason)
        if interrupted:
            return []
        return self._break(self.accounting.end_frame, end_events=True)

    def take(self, limit: int) -> tuple[list[Result], list[Window]]:
        """The oldest windows to score, `limit` at most, and what was passed by before them.

        Give their scores to `settle` before the next `take`. Silent windows are passed by without being scored.
        """
        if self._taken:
            return [], []
        out: list[Result] = []
        batch: list[Window] = []
        while self._queue and len(batch) < limit:
            item = self._queue[0]
            if isinstance(item, Window) and self.policy.is_scored(item):
                batch.append(item)
                self._queued -= 1
            elif batch:
                break
            else:
                out += self._pass_by(item)
            self._queue.popleft()
        self._taken = len(batch)
        return out, batch

    def settle(self, windows: list[Window], answers: Sequence[FloatArray | str]) -> list[Result]:
        """The taken windows' scores `(segments, classes)`, in order; a text where the network failed, and why."""
        self._taken = 0
        out: list[Result] = []
        for window, answer in zip(windows, answers, strict=True):
            if isinstance(answer, str):
                out += self._drop(window, "inference", answer)
            else:
                out += self._scored(window, answer)
        # Frames are settled in order: what was dropped meanwhile comes after what was being scored.
        for window in self._overtaken:
            out += self._settle_dropped(window)
        self._overtaken.clear()
        return out

    def score(self) -> list[Result]:
        """Score the oldest waiting windows, a batch at most. Costs nothing where none waits."""
        out, batch = self.take(self.scorer.batch_size)
        return [*out, *self.settle(batch, scores_of(self.scorer, batch))]

    def drop_oldest(self) -> list[Result]:
        """Drop the oldest queued window: the machine is too slow, or there is no time left to score it."""
        for position, item in enumerate(self._queue):
            if isinstance(item, Window):
                del self._queue[position]
                self._queued -= 1
                return self._drop(item, "slow", "inference is slower than real time, the oldest windows are dropped")
        return []

    def finish(self) -> list[Result]:
        """The end: score what waits, end all open events and the recording. Nothing is pending afterwards."""
        out = self.interrupt("stall")
        # Windows that are still being scored after all that time count as dropped.
        self._taken = 0
        while self._queue:
            out += self.score()
        return [*out, *_ended(self._tracker.finish()), *self._recordings.finish(self.accounting.end_frame)]

    def _break(self, frame: int, *, end_events: bool = False, stepped_at: int | None = None) -> list[Result]:
        """A place that no window spans and, with `end_events`, no event."""
        out = [] if self._stream is None else self._enqueue(self._stream.finish())
        last = self._queue[-1] if self._queue else None
        if isinstance(last, _Mark):
            self._queue.pop()
            frame, end_events = max(frame, last.frame), end_events or last.end_events
            stepped_at = stepped_at if last.stepped_at is None else last.stepped_at
        self._queue.append(_Mark(frame, end_events, stepped_at))
        return out

    def _enqueue(self, windows: list[Window]) -> list[Result]:
        self._queue.extend(windows)
        self._queued += len(windows)
        out: list[Result] = []
        while self._queued > self._max_pending:
            out += self.drop_oldest()
        return out

    def _drop(self, window: Window, kind: Literal["slow", "inference"], text: str) -> list[Result]:
        """A window is not scored: what no later one will reach is dropped."""
        self.dropped_windows += 1
        out: list[Result] = []
        if self._taken:
            self._overtaken.append(window)
        else:
            out += self._settle_dropped(window)
        return [*out, Fault(kind, f"{text} ({self.accounting.dropped / self.rate_hz:.1f} s dropped since the start)")]

    def _settle_dropped(self, window: Window) -> list[Result]:
        reached = window.start_frame + min(self._hop_frames, window.valid_frames)
        # Frames that earlier windows scored are not dropped.
        out = [] if self._mean is None else self._rows(self._mean.before(reached))
        self.accounting.settle(window.start_frame, reached, "dropped")
        return out

    def _pass_by(self, item: Window | _Mark) -> list[Result]:
        if isinstance(item, _Mark):
            out = [] if self._mean is None else self._rows(self._mean.finish())
            self.accounting.settle(item.frame, item.frame, "dropped")
            out += _ended(self._tracker.finish()) if item.end_events else []
            return out + ([] if item.stepped_at is None else self._recordings.cut(item.stepped_at, item.frame))
        self._queued -= 1
        out = [] if self._mean is None else self._rows(self._mean.before(item.start_frame))
        end = item.start_frame + item.valid_frames
        self.accounting.settle(item.start_frame, end, "skipped_silent")
        ended = _ended(self._tracker.quiet(item.start_frame))
        return [*out, Silent(end), *self._recordings.advance(item.start_frame), *ended]

    def _scored(self, window: Window, scores: FloatArray) -> list[Result]:
        self.windows += 1
        rows = rows_of(window, scores, self.scorer.manifest.row_frames)
        return self._rows(rows if self._mean is None else self._mean.push(rows))

    def _rows(self, rows: Iterable[WindowScores]) -> list[Result]:
        """Rows of scores that are complete: whole windows, or parts of windows that several windows share."""
        out: list[Result] = []
        for row in rows:
            end = row.start_frame + row.valid_frames
            self.accounting.settle(row.start_frame, end, "analysed")
            scored = WindowScores(row.start_frame, row.valid_frames, self.policy.filtered(row.scores))
            result = self._tracker.push(scored)
            self.detections += len(result.detections)
            out += [*self._recordings.push(scored), Found(end, result.detections), *_ended(result.ended)]
        return out


def _ended(events: Iterable[tuple[Event, int]]) -> list[Result]:
    return [EndedEvent(event, number) for event, number in events]
