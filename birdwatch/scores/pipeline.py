"""The stages put together: blocks of audio in, the scores of windows out. `run` and `listen` both go through here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from birdwatch.audio.resample import Resampler
from birdwatch.audio.types import AudioBlock, Gap, Window
from birdwatch.audio.windows import MIN_TAIL_S, Windower, hop_frames_of
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.manifest import Manifest
from birdwatch.model.types import WindowScores
from birdwatch.scores.aggregation import Maximum
from birdwatch.scores.types import RecordingScores

__all__ = ["WindowStream", "score_blocks", "score_recording", "windows_of"]


class WindowStream:
    """Blocks of one source to windows at the model's rate: `push` each block, `finish` at the end.

    Resampling and windowing in one, so that a file and a microphone take the very same way.
    """

    def __init__(self, rate_hz: int, manifest: Manifest, *, hop_s: float | None = None) -> None:
        hop_frames = hop_frames_of(hop_s, manifest.window_frames, manifest.rate_hz)
        self._resampler = Resampler(rate_hz, manifest.rate_hz, kind=manifest.resampler)
        self._windower = Windower(
            manifest.window_frames, hop_frames, min_tail_frames=round(MIN_TAIL_S * manifest.rate_hz)
        )
        self.end_frame = 0

    @property
    def unscored_frames(self) -> int:
        """Frames of tails too short to score, at the model's rate."""
        return self._windower.unscored_frames

    def push(self, block: AudioBlock) -> list[Window | Gap]:
        """The windows that this block completes, and gaps where frames are missing."""
        return self._through(self._resampler.push(block))

    def finish(self) -> list[Window | Gap]:
        """The windows that the end completes: the resampler's rest and the padded tail."""
        return [*self._through(self._resampler.finish()), *self._windower.finish()]

    def _through(self, blocks: list[AudioBlock]) -> list[Window | Gap]:
        out: list[Window | Gap] = []
        for block in blocks:
            out += self._windower.push(block)
            self.end_frame = block.end_frame
        return out


def windows_of(blocks: Iterable[AudioBlock], stream: WindowStream) -> Iterator[Window]:
    """The windows of `blocks`, in order, as they come; `stream` is fresh and made for the blocks' rate."""
    for block in blocks:
        yield from (item for item in stream.push(block) if isinstance(item, Window))
    yield from (item for item in stream.finish() if isinstance(item, Window))


def score_blocks(
    blocks: Iterable[AudioBlock], classifier: OnnxClassifier, stream: WindowStream
) -> Iterator[WindowScores]:
    """The scores of each window of `blocks`, in order, as they come; a bounded number of windows is in memory.

    `stream`, fresh and made for the blocks' rate, says afterwards how long the audio was.
    """
    return classifier.score_windows(windows_of(blocks, stream))


def score_recording(
    name: str,
    blocks: Iterable[AudioBlock],
    classifier: OnnxClassifier,
    *,
    rate_hz: int,
    hop_s: float | None = None,
) -> RecordingScores:
    """Score a whole recording: all of its windows and their maximum. Frames are at the model's rate."""
    manifest = classifier.manifest
    stream = WindowStream(rate_hz, manifest, hop_s=hop_s)
    maximum = Maximum(len(manifest.labels))
    scored = []
    for window in score_blocks(blocks, classifier, stream):
        maximum.push(window)
        scored.append(window)
    return RecordingScores(
        recording=name,
        rate_hz=manifest.rate_hz,
        start_frame=0,
        end_frame=stream.end_frame,
        windows=tuple(scored),
        scores=maximum.scores,
        unscored_frames=stream.unscored_frames,
    )
