"""The stages from blocks of audio to window scores that live and batch share."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from birdwatch.audio.finite import finite_runs
from birdwatch.audio.resample import Resampler
from birdwatch.audio.types import AudioBlock, Window
from birdwatch.audio.windows import MIN_TAIL_S, Windower, hop_frames_of
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.manifest import Manifest
from birdwatch.model.types import WindowScores
from birdwatch.scores.aggregation import RecordingFold
from birdwatch.scores.policy import ScoringPolicy
from birdwatch.scores.rows import RowMean, rows_of
from birdwatch.scores.types import RecordingScores, SkippedWindow

__all__ = ["WindowStream", "score_blocks", "score_recording", "score_windows", "windows_of"]

# soxr transforms blocks: how many of the source's frames it may hold back more than it did before (8 to 96 kHz).
HELD_FRAMES = 1000


class WindowStream:
    """Blocks of one source to windows at the model's rate: `push` each block, `finish` at the end.

    NaN and infinity are cut out, the rest is resampled and windowed; no window spans what is missing. `end_frame` is
    the end of the audio so far at the model's rate, `invalid_frames` counts NaN and infinite samples at the source's
    rate, `unscored_frames` the frames of tails too short for a window.

    first_frame: of the first window, where the blocks begin in the middle of a recording and before it.
    """

    def __init__(self, rate_hz: int, manifest: Manifest, *, hop_s: float | None = None, first_frame: int = 0) -> None:
        hop_frames = hop_frames_of(hop_s, manifest.window_frames, manifest.rate_hz)
        self._resampler = Resampler(rate_hz, manifest.rate_hz, kind=manifest.resampler)
        self._windower = Windower(
            manifest.window_frames, hop_frames, min_tail_frames=round(MIN_TAIL_S * manifest.rate_hz)
        )
        # A resampled stretch may end a frame later than its samples: the next one begins clear of it.
        self._margin = 0 if rate_hz == manifest.rate_hz else -(-2 * rate_hz // manifest.rate_hz) + 1
        self._rates = rate_hz, manifest.rate_hz
        self._first_frame = first_frame
        self._invalid_end = self._skip_to = -1
        self._input_end = 0
        self.end_frame = 0
        self.invalid_frames = 0

    @property
    def hop_frames(self) -> int:
        """Frames from one window's start to the next's."""
        return self._windower.hop_frames

    @property
    def unscored_frames(self) -> int:
        """Frames of tails too short to score, at the model's rate."""
        return self._windower.unscored_frames

    @property
    def lacking_s(self) -> float:
        """Seconds of audio that complete the next window, with what the resampler holds back at most."""
        rate_hz, out_rate_hz = self._rates
        held_s = 0.0 if rate_hz == out_rate_hz else HELD_FRAMES / rate_hz
        return self._windower.lacking_frames / out_rate_hz + held_s

    def push(self, block: AudioBlock, runs: list[AudioBlock] | None = None) -> list[Window]:
        """The windows that this block completes. runs: its `finite_runs`, where they are known."""
        out: list[Window] = []
        runs = finite_runs(block) if runs is None else runs
        for run in runs:
            if run.start_frame > block.start_frame or run.start_frame == self._invalid_end:
                self._skip_to = run.start_frame + self._margin
            late = max(0, self._skip_to - run.start_frame)
            if late:
                run = AudioBlock(run.samples[late:], run.start_frame + late, run.rate_hz)
            if len(run.samples):
                out += self._windows(self._resampler.push(run))
        self._input_end = block.end_frame
        self.invalid_frames += len(block.samples) - sum(len(run.samples) for run in runs)
        if len(block.samples) and (not runs or runs[-1].end_frame < block.end_frame):
            self._invalid_end = block.end_frame
        return out

    def finish(self) -> list[Window]:
        """The windows that the end completes: the resampler's rest and the padded tail."""
        # Rounded as the resampler does from frame 0 on. What follows a cut may end one frame later, which is none.
        rate_hz, out_rate_hz = self._rates
        end = (self._input_end * out_rate_hz + rate_hz // 2) // rate_hz
        blocks = [
            AudioBlock(block.samples[: end - block.start_frame], block.start_frame, block.rate_hz)
            for block in self._resampler.finish()
            if block.start_frame < end
        ]
        out = [*self._windows(blocks), *self._windower.finish()]
        self.end_frame = end
        return out

    def _windows(self, blocks: list[AudioBlock]) -> list[Window]:
        out: list[Window] = []
        for block in blocks:
            early = self._first_frame - block.start_frame
            if early > 0:
                samples = block.samples[early:]
                block = AudioBlock(samples, block.end_frame - len(samples), block.rate_hz)
            out += self._windower.push(block)
            self.end_frame = block.end_frame
        return out


def windows_of(blocks: Iterable[AudioBlock], stream: WindowStream) -> Iterator[Window]:
    """The windows of `blocks`, in order, as they come; `stream` is fresh and made for the blocks' rate."""
    for block in blocks:
        yield from stream.push(block)
    yield from stream.finish()


def score_blocks(
    blocks: Iterable[AudioBlock],
    classifier: OnnxClassifier,
    stream: WindowStream,
    policy: ScoringPolicy,
    *,
    in_flight: int | None = None,
) -> Iterator[WindowScores | SkippedWindow]:
    """As `score_windows` for all windows of `blocks`.

    `stream`, fresh and made for the blocks' rate, tells afterwards how long the audio was.
    """
    windows = windows_of(blocks, stream)
    return score_windows(windows, classifier, stream.hop_frames, policy, in_flight=in_flight)


def score_windows(
    windows: Iterable[Window],
    classifier: OnnxClassifier,
    hop_frames: int,
    policy: ScoringPolicy,
    *,
    in_flight: int | None = None,
) -> Iterator[WindowScores | SkippedWindow]:
    """Each of `windows`, `hop_frames` apart at least, in order: its scores by `policy`, or that it was skipped.

    A model with segments gives a row for each, the mean over the windows that overlap there.

    A bounded number of scored windows is in memory. in_flight: see `OnnxClassifier.score_windows`.
    """
    # None stands for a window that is with the network.
    order: deque[SkippedWindow | None] = deque()

    def scorable() -> Iterator[Window]:
        for window in windows:
            if policy.is_scored(window):
                order.append(None)
                yield window
            else:
                order.append(SkippedWindow(window.start_frame, window.valid_frames))

    def filtered(rows: Iterable[WindowScores]) -> Iterator[WindowScores]:
        for row in rows:
            yield WindowScores(row.start_frame, row.valid_frames, np.asarray(policy.filtered(row.scores)))

    manifest = classifier.manifest
    mean = RowMean(hop_frames) if manifest.segments > 1 else None
    if mean is None:
        found = ([scored] for scored in classifier.score_windows(scorable(), in_flight=in_flight))
    else:
        parts = classifier.score_segments(scorable(), in_flight=in_flight or classifier.workers)
        found = (rows_of(window, scores, manifest.row_frames) for window, scores in parts)
    for scored in found:
        while (skipped := order.popleft()) is not None:
            if mean is not None:
                yield from filtered(mean.before(skipped.start_frame))
            yield skipped
        yield from filtered(scored if mean is None else mean.push(scored))
    for skipped in order:
        if skipped is not None:
            if mean is not None:
                yield from filtered(mean.before(skipped.start_frame))
            yield skipped
    if mean is not None:
        yield from filtered(mean.finish())


def score_recording(
    name: str,
    blocks: Iterable[AudioBlock],
    classifier: OnnxClassifier,
    policy: ScoringPolicy,
    *,
    rate_hz: int,
    hop_s: float | None = None,
) -> RecordingScores:
    """Score a whole recording: its windows and their maximum, detections and events. Frames are at the model's rate."""
    manifest = classifier.manifest
    stream = WindowStream(rate_hz, manifest, hop_s=hop_s)
    fold = RecordingFold(policy, manifest.rate_hz)
    windows, detections, events = [], [], []
    for item in score_blocks(blocks, classifier, stream, policy):
        result = fold.push(item)
        detections += [detection for detection, _ in result.detections]
        events += [event for event, _ in result.ended]
        if isinstance(item, WindowScores):
            windows.append(item)
    events += [event for event, _ in fold.finish(stream.end_frame)]
    return RecordingScores(
        recording=name,
        rate_hz=manifest.rate_hz,
        start_frame=0,
        end_frame=stream.end_frame,
        windows=tuple(windows),
        scores=fold.maximum.scores,
        detections=tuple(detections),
        events=tuple(events),
        silent_frames=fold.accounting.skipped_silent,
        unscored_frames=fold.accounting.dropped,
    )
