"""Assembles the pipeline from audio to messages: listener, reporter, clips, recording, privacy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from birdwatch.audio.conditioning import Conditioning
from birdwatch.config.schema import Settings
from birdwatch.live.audio_outputs import AudioOutputs
from birdwatch.live.bounded_folder import BoundedFolder
from birdwatch.live.clips import Clips
from birdwatch.live.listener import Listener
from birdwatch.live.message_builder import Reporter
from birdwatch.live.privacy import SpeechGate
from birdwatch.live.recorder import SUFFIXES, Recorder, RecordingThread
from birdwatch.live.source import Clock, Stamp
from birdwatch.messaging.station_publisher import StationPublisher
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.voice_activity import VoiceActivity
from birdwatch.scores.policy import ScoringPolicy
from birdwatch.scores.types import Detection

__all__ = ["OnDetection", "Pipelines", "Stream"]

OnDetection = Callable[[Detection, int], None]


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream, or one recording of a folder. event_prefix: of event ids. whole: it has a name and an end."""

    station: str
    recording: str
    start: Stamp
    event_prefix: str
    live: bool
    whole: bool
    channel: int | None = None


class Pipelines:
    """`make` one for each stream; the folders of clips and of recordings, bounded in size, are shared by all of them.

    settings: those of the daemon. on_detection: is called with each detection and its UTC in ns.
    """

    def __init__(
        self, settings: Settings, classifier: OnnxClassifier, clock: Clock, *, on_detection: OnDetection | None = None
    ) -> None:
        self._classifier = classifier
        self._clock = clock
        self._on_detection = on_detection
        self._clips: BoundedFolder | None = None
        if (folder := settings.save_clips) is not None:
            self._clips = BoundedFolder(folder, max_bytes=_bytes(settings.clips_max_gb), suffixes=(".flac",))
        self._recordings: dict[Path, BoundedFolder] = {}
        self._recording: RecordingThread | None = None

    def reload(self, settings: Settings) -> None:
        """Put another size of all clips in force."""
        if self._clips is not None:
            self._clips.max_bytes = _bytes(settings.clips_max_gb)

    def close(self) -> None:
        """End recordings."""
        if self._recording is not None:
            self._recording.close()

    def make(
        self, settings: Settings, policy: ScoringPolicy, publisher: StationPublisher, stream: Stream
    ) -> tuple[Listener, Reporter]:
        """The listener and the reporter of a stream. settings: of its source."""
        clips = None
        if self._clips is not None:
            clips = Clips(self._clips.folder, max_bytes=self._clips.max_bytes, shared=self._clips)
        outputs = AudioOutputs(
            clips,
            self._recorder(settings, stream),
            wanted=lambda: publisher.spectrum_wanted,
            publish=publisher.publish_spectrum,
            gate=None if settings.privacy == "off" else SpeechGate(VoiceActivity()),
        )
        listener = Listener(
            self._classifier,
            policy,
            stream.start,
            hop_s=settings.hop,
            recording=stream.recording,
            recording_s=None if stream.whole else settings.recording_seconds,
            channel=stream.channel,
            conditioning=Conditioning(settings.gain, settings.high_pass),
            on_block=outputs.push,
        )
        outputs.follow(listener.numbering)
        reporter = Reporter(
            listener,
            publisher.publish,
            self._clock,
            station=stream.station,
            boot_id=stream.event_prefix,
            live=stream.live,
            minutes=not stream.whole,
            clips=clips,
            outputs=outputs,
            drop_speech=settings.privacy == "drop-all",
            on_detection=self._on_detection,
        )
        return listener, reporter

    def _recorder(self, settings: Settings, stream: Stream) -> Recorder | None:
        if settings.record is None or stream.whole:
            return None
        self._recording = self._recording or RecordingThread()
        bounded = self._recordings.get(settings.record)
        if bounded is None:
            bounded = self._recordings[settings.record] = BoundedFolder(
                settings.record,
                max_bytes=_bytes(settings.record_max_gb),
                max_age_s=settings.record_max_days * 86400 or None,
                suffixes=SUFFIXES,
            )
        return Recorder(bounded, stream.station, self._recording, form=settings.record_format)


def _bytes(gigabytes: float) -> int:
    return round(gigabytes * 1e9)
