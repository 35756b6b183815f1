"""The live core's results as messages: adds names, times, event ids and clips, and measures the latency."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from birdwatch.audio.types import Gap
from birdwatch.live.audio_outputs import AudioOutputs
from birdwatch.live.clips import Clips
from birdwatch.live.listener import Listener
from birdwatch.live.results import EndedEvent, Found, Result
from birdwatch.live.source import Clock
from birdwatch.messaging import messages
from birdwatch.messaging.messages import Message
from birdwatch.scores.types import Detection, Event, RecordingMaximum

__all__ = ["Reporter"]

log = logging.getLogger(__name__)

# Half an hour of windows at the 2.5 s hop: what the latency in the status is computed from.
LATENCIES = 720


class Reporter:
    """Turns results into messages and publishes them: detections at once, an event with its saved clip.

    publish: where messages go. boot_id: makes event ids unique over all starts. minutes: recordings are stretches of a
    live stream, named after the station and their beginning. drop_speech: what overlaps speech is not published.
    on_detection: is called with each one and its UTC in ns.
    """

    def __init__(
        self,
        listener: Listener,
        publish: Callable[[Message], object],
        clock: Clock,
        *,
        station: str,
        boot_id: str,
        live: bool,
        minutes: bool,
        clips: Clips | None = None,
        outputs: AudioOutputs | None = None,
        drop_speech: bool = False,
        on_detection: Callable[[Detection, int], None] | None = None,
    ) -> None:
        self.clips = clips
        self.outputs = outputs
        self._drop_speech = drop_speech
        self._listener = listener
        self._publish = publish
        self._clock = clock
        self._station = station
        self._boot_id = boot_id
        self._live = live
        self._minutes = minutes
        self._on_detection = on_detection
        self._labels = listener.scorer.manifest.labels
        self._latencies_ms: deque[float] = deque(maxlen=LATENCIES)

    def report(self, results: Iterable[Result]) -> None:
        """Publish results in their order; faults and silence are not messages."""
        for result in results:
            match result:
                case Gap():
                    self._gap(result)
                case Found():
                    for detection, number in result.detections:
                        self._detection(detection, number)
                    if self._live:
                        late_ns = self._clock.now().steady_ns - self._listener.clock_sync.steady_ns(result.end_frame)
                        # The line through the blocks' arrivals may run some milliseconds ahead of one of them.
                        self._latencies_ms.append(max(0.0, late_ns / 1e6))
                case EndedEvent():
                    self._event(result.event, result.number)
                case RecordingMaximum():
                    self._recording(result)

    def latency_ms(self, percentile: float) -> float | None:
        """From the end of a window to its messages, over the newest windows; None before the first."""
        if not self._latencies_ms:
            return None
        ranked = sorted(self._latencies_ms)
        # The nearest rank, rounded up: what that share of the windows did not exceed.
        return ranked[max(0, math.ceil(percentile / 100 * len(ranked)) - 1)]

    def _gap(self, gap: Gap) -> None:
        line = self._listener.clock_sync
        log.warning("gap of %.3f s: %s", gap.frames / self._listener.rate_hz, gap.reason)
        start_ns = line.utc_ns(gap.start_frame)
        self._publish(messages.gap(gap, rate_hz=self._listener.rate_hz, start_ns=start_ns))

    def _speech(self, start_frame: int, end_frame: int) -> bool:
        """Whether a person spoke between two frames, where privacy was asked for."""
        rate_hz = self._listener.rate_hz
        return self.outputs is not None and self.outputs.speech_within(start_frame / rate_hz, end_frame / rate_hz)

    def _detection(self, found: Detection, number: int) -> None:
        if self._drop_speech and self._speech(found.start_frame, found.end_frame):
            return
        start_ns, end_ns = self._times(found.start_frame, found.end_frame)
        self._publish(
            messages.detection(
                found,
                self._labels[found.label],
                rate_hz=self._listener.rate_hz,
                start_ns=start_ns,
                end_ns=end_ns,
                event_id=self._event_id(number),
            )
        )
        if self._on_detection is not None:
            self._on_detection(found, start_ns)

    def _event(self, event: Event, number: int) -> None:
        label, rate_hz = self._labels[event.label], self._listener.rate_hz
        speech = self._speech(event.start_frame - rate_hz, event.end_frame + rate_hz)
        if self._drop_speech and speech:
            return
        start_ns, end_ns = self._times(event.start_frame, event.end_frame)
        clip = None
        if self.clips is not None and not speech:
            # The event id comes last: clips are found by it.
            name = f"{_compact(start_ns)}_{self._station}_{label.code}_{self._event_id(number)}"
            clip = self.clips.save(name.replace("/", "-"), event.start_frame / rate_hz, event.end_frame / rate_hz)
        log.info("%s, %d windows, at most %.2f", label.common_name or label.code, event.windows, event.max_score)
        self._publish(
            messages.event(
                event,
                label,
                rate_hz=rate_hz,
                start_ns=start_ns,
                end_ns=end_ns,
                event_id=self._event_id(number),
                clip=None if clip is None else str(clip),
            )
        )

    def _recording(self, scores: RecordingMaximum) -> None:
        start_ns, end_ns = self._times(scores.start_frame, scores.end_frame)
        if self._minutes:
            scores = replace(scores, recording=f"{self._station}_{_compact(start_ns)}")
        manifest, policy = self._listener.scorer.manifest, self._listener.policy
        limits, species = policy.thresholds, policy.species
        allowed = None if species is None else species.allowed.tolist()
        self._publish(
            messages.recording(scores, manifest.codes, limits, start_ns=start_ns, end_ns=end_ns, allowed=allowed)
        )

    def _times(self, start_frame: int, end_frame: int) -> tuple[int, int]:
        line = self._listener.clock_sync
        return line.utc_ns(start_frame), line.end_ns(end_frame)

    def _event_id(self, number: int) -> str:
        return f"{self._boot_id}-{number}"


def _compact(utc_ns: int) -> str:
    """A moment for a file's name: 20250501T041203Z."""
    return f"{datetime.fromtimestamp(utc_ns // 1_000_000_000, UTC):%Y%m%dT%H%M%SZ}"
