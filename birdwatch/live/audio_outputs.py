"""The outputs of a station's audio: clips of events, the recording, and spectra on demand."""

from __future__ import annotations

from collections.abc import Callable

from birdwatch.audio.types import AudioBlock
from birdwatch.live.clips import Clips
from birdwatch.live.frame_numbering import FrameNumbering
from birdwatch.live.privacy import SpeechGate
from birdwatch.live.recorder import Recorder
from birdwatch.live.spectrum import SpectrumFeed
from birdwatch.messaging import messages
from birdwatch.messaging.messages import Message, Spectrum

__all__ = ["AudioOutputs"]


class AudioOutputs:
    """`push` each block of a stream; `follow` the numbering that tells when it was.

    wanted: whether a subscriber wants spectra, which go to `publish`. gate: blanks speech in all of it.
    """

    def __init__(
        self,
        clips: Clips | None,
        recorder: Recorder | None,
        *,
        wanted: Callable[[], bool],
        publish: Callable[[Message], None],
        gate: SpeechGate | None = None,
    ) -> None:
        self._clips = clips
        self._recorder = recorder
        self._publish = publish
        self._gate = gate
        self._spectrum = SpectrumFeed(wanted, self._show)
        self._numbering: FrameNumbering | None = None

    @property
    def fault(self) -> str | None:
        """Why audio is not recorded, None where it is."""
        return None if self._recorder is None else self._recorder.fault

    def follow(self, numbering: FrameNumbering) -> None:
        """The stream's numbering: from now on blocks have times."""
        self._numbering = numbering

    def push(self, block: AudioBlock) -> None:
        """Take a mono block at its device's rate, without NaN."""
        for decided in [block] if self._gate is None else self._gate.push(block):
            self._keep(decided)

    def speech_within(self, start_s: float, end_s: float) -> bool:
        """Whether a person spoke between two seconds of the stream; never without `privacy`."""
        return self._gate is not None and self._gate.speech_within(start_s, end_s)

    def _keep(self, block: AudioBlock) -> None:
        if self._clips is not None:
            self._clips.push(block)
        if self._recorder is not None:
            self._recorder.push(block, self._utc_ns(block.start_frame, block.rate_hz))
        self._spectrum.push(block)

    def end(self) -> None:
        """The stream is over."""
        for decided in [] if self._gate is None else self._gate.finish():
            self._keep(decided)
        if self._recorder is not None:
            self._recorder.end()

    def _show(self, spectrum: Spectrum) -> None:
        self._publish(messages.spectrum(spectrum, start_ns=self._utc_ns(spectrum.start_frame, spectrum.rate_hz)))

    def _utc_ns(self, frame: int, rate_hz: int) -> int:
        assert self._numbering is not None
        return self._numbering.clock_sync.estimate_ns(frame * self._numbering.rate_hz // rate_hz)
