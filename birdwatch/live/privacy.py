"""Privacy: speech is replaced by zeros before audio is saved or shown.

Blocks wait two seconds, so that the syllables before the first one that is recognised are blanked as well.
"""

from __future__ import annotations

from collections import deque

from birdwatch.audio.resample import Resampler
from birdwatch.audio.types import AudioBlock
from birdwatch.model.voice_activity import CHUNK_FRAMES, VAD_RATE_HZ, VoiceActivity

__all__ = ["SpeechGate"]

# Silero's own threshold is 0.5; a person in the background of birds scores lower.
THRESHOLD = 0.3
# Blanked before and after each chunk with speech. The network needs a syllable or two to be certain, and pauses
# between words are speech too.
BEFORE_S, AFTER_S = 1.5, 1.0
DELAY_S = BEFORE_S + 0.5
# Spans of speech that are remembered: a station's clips reach back this far.
REMEMBERED_S = 300.0


class SpeechGate:
    """`push` a stream's blocks; they come out DELAY_S later, in order, with speech replaced by zeros.

    `blanked_s` counts what was replaced. `speech_within` can be asked at once about all that was pushed.
    """

    def __init__(self, voice: VoiceActivity) -> None:
        self.blanked_s = 0.0
        self._voice = voice
        self._resampler: Resampler | None = None
        self._rate_hz = 0
        self._next_frame = -1
        self._origin_s = 0.0
        self._chunks = 0
        self._spans: deque[tuple[float, float]] = deque()
        self._held: deque[AudioBlock] = deque()

    def push(self, block: AudioBlock) -> list[AudioBlock]:
        """Take a mono block; returns those that are old enough to be decided."""
        out: list[AudioBlock] = []
        if block.rate_hz != self._rate_hz or block.start_frame != self._next_frame:
            out = self.finish()
            self._restart(block)
        self._next_frame = block.end_frame
        assert self._resampler is not None
        for part in self._resampler.push(AudioBlock(block.samples, block.start_frame, block.rate_hz)):
            for probability in self._voice.push(part.samples):
                self._add_speech(float(probability))
        self._held.append(block)
        now_s = block.end_frame / block.rate_hz
        while self._held and self._held[0].end_frame / self._rate_hz <= now_s - DELAY_S:
            out.append(self._decided(self._held.popleft()))
        return out

    def finish(self) -> list[AudioBlock]:
        """The blocks that wait: the stream ends or has a gap here."""
        out = [self._decided(block) for block in self._held]
        self._held.clear()
        return out

    def speech_within(self, start_s: float, end_s: float) -> bool:
        """Whether a person spoke between two seconds of the stream, margins included."""
        return any(start < end_s and end > start_s for start, end in self._spans)

    def _restart(self, block: AudioBlock) -> None:
        self._rate_hz = block.rate_hz
        self._resampler = Resampler(block.rate_hz, VAD_RATE_HZ)
        self._voice.restart()
        self._origin_s, self._chunks = block.start_frame / block.rate_hz, 0

    def _add_speech(self, probability: float) -> None:
        """Record a chunk with speech, merged with the last ones if their margins overlap."""
        start_s = self._origin_s + self._chunks * CHUNK_FRAMES / VAD_RATE_HZ
        self._chunks += 1
        while self._spans and self._spans[0][1] < start_s - REMEMBERED_S:
            self._spans.popleft()
        if probability < THRESHOLD:
            return
        start, end = start_s - BEFORE_S, start_s + CHUNK_FRAMES / VAD_RATE_HZ + AFTER_S
        if self._spans and start <= self._spans[-1][1]:
            start = self._spans.pop()[0]
        self._spans.append((start, end))

    def _decided(self, block: AudioBlock) -> AudioBlock:
        rate_hz = block.rate_hz
        samples = block.samples
        for start_s, end_s in self._spans:
            first = max(0, round(start_s * rate_hz) - block.start_frame)
            last = min(len(samples), round(end_s * rate_hz) - block.start_frame)
            if last > first:
                if samples is block.samples:
                    samples = samples.copy()
                samples[first:last] = 0.0
                self.blanked_s += (last - first) / rate_hz
        return block if samples is block.samples else AudioBlock(samples, block.start_frame, rate_hz)
