"""Decoded frames of FFmpeg: their samples in one rate, layout and format, and their times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
from av.audio.plane import AudioPlane

from birdwatch.audio.types import FloatArray

__all__ = ["Sink", "TimeStamps", "Unparsed", "samples_of", "samples_of_all"]

# Many packets: read at once they cost half of reading packet by packet. Their samples still fit a core's cache.
READ_FRAMES = 1 << 16
# A time stamp that is later than the samples so far by more than this is a gap; containers round to a millisecond.
GAP_S = 0.04
# A later one than this is ignored: damaged time stamps can have any value.
MAX_GAP_S = 3600.0
DTYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
SCALES = {"u8": 128.0, "s16": 32768.0, "s32": 2147483648.0, "s64": 9223372036854775808.0}


class Described(Protocol):
    """What a recording is from its beginning on; notes: what there is to say about it."""

    path: Path
    notes: list[str]
    rate_hz: int
    channels: int
    layout: str


class Sink:
    """Decoded frames become chunks of one rate, layout and sample format; `start` and `end` are of what is kept."""

    def __init__(self, sound: Described) -> None:
        self._sound = sound
        self.start = self.end = 0
        self._fifo = av.AudioFifo()
        self._home = sound.rate_hz, sound.channels
        self._given: tuple[int, int] | None = None
        self._resampler: Any = None

    def push(self, frame: Any) -> Iterable[tuple[int, FloatArray]]:
        """The chunks that are complete with this frame."""
        done: list[tuple[int, FloatArray]] = []
        given = frame.sample_rate, frame.layout.nb_channels
        parts = [frame]
        if given != self._home:
            if given != self._given:
                done += self.drain()
                self._convert_from(given)
            parts = self._resampler.resample(frame)
        elif self._given is not None:
            done += self.drain()
            self._given = None
        for part in parts:
            part.pts = None
            try:
                self._fifo.write(part)
            except ValueError:
                # The stream continues in another sample format.
                done += self.drain()
                self._fifo = av.AudioFifo()
                self._fifo.write(part)
            self.end += part.samples
        return [*done, *self.drain()] if self._fifo.samples >= READ_FRAMES else done

    def _convert_from(self, given: tuple[int, int]) -> None:
        rate_hz, channels = self._home
        self._given = given
        self._resampler = av.AudioResampler(format="fltp", layout=self._sound.layout, rate=rate_hz)
        self._sound.notes.append(
            f"{self._sound.path} changes from {rate_hz} Hz and {channels} channels to {given[0]} Hz and {given[1]} "
            f"after {self.end / rate_hz:.1f} s; it is converted"
        )

    def drain(self) -> list[tuple[int, FloatArray]]:
        """What is kept, as a chunk; none where it is nothing."""
        start, self.start = self.start, self.end
        return [(start, samples_of(self._fifo.read(self._fifo.samples)))] if self._fifo.samples else []


class TimeStamps:
    """Frames that are missing before a packet, by its time stamp. base: the position of the recording's frame 0."""

    def __init__(self, stream: Any, rate_hz: int, base: int | None) -> None:
        # Integers: a Fraction for each of fifty packets a second costs as much as decoding them.
        self._ticks, self._per_s = stream.time_base.numerator * rate_hz, stream.time_base.denominator
        self._gap, self._limit = round(GAP_S * rate_hz), round(MAX_GAP_S * rate_hz)
        self._base = base
        # Whether a packet did not follow the last one without a gap, or the first was not at 0.
        self.uneven = False

    @property
    def base(self) -> int:
        """The position of the recording's frame 0."""
        return self._base or 0

    def position(self, pts: int) -> int:
        """Frames at the recording's rate."""
        frames: int = pts * self._ticks // self._per_s
        return frames

    def late(self, position: int, end: int) -> int:
        """Frames between `end`, where the samples so far end, and a packet at `position`; 0 where that is no gap."""
        if self._base is None:
            self._base = position - end
        late = position - self._base - end
        self.uneven |= bool(late or self._base)
        if self._gap < late <= self._limit:
            return late
        if not -self._gap <= late <= self._gap:
            # Time stamps begin again (chained, joined files) or are implausible: samples are counted.
            self._base = position - end
        return 0


class Unparsed:
    """Audio in damaged bytes of mp3, mp2 and ac3, whose packets carry no time: the parser takes them for one packet.

    packet_frames: frames in a packet, 0 for containers whose packets carry their time. `frames` have passed so.
    """

    def __init__(self, packet_frames: int) -> None:
        self.frames = 0
        self._packet_frames = packet_frames
        self._bytes = self._packets = 0

    def good(self, size: int) -> None:
        """A packet of `size` bytes was decoded."""
        self._bytes += size
        self._packets += 1

    def damaged(self, size: int) -> None:
        """A packet of `size` bytes was not."""
        if self._packets:
            more = round(size * self._packets / self._bytes) - 1
            self.frames += max(0, more) * self._packet_frames


def samples_of(frame: Any) -> FloatArray:
    """Samples float32 `(n, channels)` of a frame of any format, not copied where they are float32 already."""
    return _scaled(_stored(frame), frame.format.name)


def samples_of_all(frames: Sequence[Any]) -> FloatArray:
    """As `samples_of` for frames that follow each other, of one number of channels."""
    names = {frame.format.name for frame in frames}
    if len(names) > 1:
        return np.concatenate([samples_of(frame) for frame in frames])
    # Scaled together: a piece of a stream has up to twelve frames, and each operation costs more than its samples.
    stored = [_stored(frame) for frame in frames]
    return _scaled(stored[0] if len(stored) == 1 else np.concatenate(stored), *names)


def _stored(frame: Any) -> Any:
    """Samples `(n, channels)` as the frame's format stores them."""
    name = frame.format.name.removesuffix("p")
    channels = frame.layout.nb_channels
    each = 1 if frame.format.is_planar else channels
    # Not `frame.planes`: of eight and more channels it counts planes that are not there, and reading them is a crash.
    held: list[Any] = [AudioPlane(frame, number) for number in range(channels // each)]
    # A plane is padded at its end. It is (n,) of one channel, or (n, channels) where they are interleaved.
    planes = [np.frombuffer(plane, DTYPES[name]) for plane in held]
    parts = [plane[: frame.samples * each].reshape(-1, each) for plane in planes]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _scaled(data: Any, name: str) -> FloatArray:
    """Samples as a format stores them in float32 +-1; name: FFmpeg's, of the format."""
    name = name.removesuffix("p")
    if name == "u8":
        data = data.astype(np.float32) - np.float32(128.0)
    if name in SCALES:
        # Powers of two: exact in float32 for 24 bits and less.
        scaled: FloatArray = np.multiply(data, np.float32(1.0 / SCALES[name]), dtype=np.float32, casting="same_kind")
        return scaled
    return np.asarray(data, np.float32)
