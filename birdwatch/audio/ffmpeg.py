"""Compressed audio through FFmpeg: the one place that uses PyAV.

No length that a container reports is believed: a stream ends where its decoder ends. Packets that cannot be decoded are
counted and skipped; what follows them keeps its true time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import av.logging
import numpy as np

from birdwatch.audio.types import FloatArray
from birdwatch.errors import DecodeError

__all__ = ["FfmpegFile", "samples_of"]

# Codecs report each damaged packet on stderr, hundreds of lines for one file; they are counted instead. With any other
# level than None PyAV takes the interpreter's lock for every message of FFmpeg, whether it is shown or not.
av.logging.set_level(None)

# Many packets: read at once they cost half of reading packet by packet. Their samples still fit a core's cache.
READ_FRAMES = 1 << 16
# A time stamp that is later than the samples so far by more than this is a gap; containers round to a millisecond.
GAP_S = 0.04
# A later one than this is not believed: damaged time stamps can be anything.
MAX_GAP_S = 3600.0
# After this many damaged packets in a row nothing of a file will be read.
MAX_ERRORS = 2000
# No codec for sound needs less: a longer duration than the file's size allows is not believed.
MIN_BITS_PER_S = 400

# Codecs whose time stamps are right after a seek; others are decoded from the start.
SEEKABLE = frozenset({"flac", "vorbis", "opus", "libopus", "aac", "alac"})
# Closer to the start, decoding is as fast as seeking; a decoder needs a moment to be exact.
SEEK_S, SEEK_BEFORE_S = 120.0, 5.0

DTYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
SCALES = {"u8": 128.0, "s16": 32768.0, "s32": 2147483648.0, "s64": 9223372036854775808.0}


class FfmpegFile:
    """The first audio stream of a file: open it, read its properties, `chunks` decodes it from the start, once.

    rate_hz and channels are those of its beginning; what changes to another rate on the way is converted. `frames` is
    the container's claim where it is plausible, else None. `comment` is the tag of that name. `damaged` counts packets
    that could not be decoded. `exact`: decoding may begin at any frame, unless time stamps turn out to be `uneven`.
    Raises DecodeError, which names the file, where it is not audio.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged = 0
        self.notes: list[str] = []
        try:
            self._container: Any = av.open(str(path), metadata_errors="replace")
        except (OSError, ValueError, av.error.FFmpegError) as error:
            raise _not_audio(path, error) from error
        try:
            if not self._container.streams.audio:
                raise DecodeError(f"{path} holds no audio stream; expected a recording", path=path)
            self._stream: Any = self._container.streams.audio[0]
            context = self._stream.codec_context
            if context is None or not context.sample_rate or not context.channels:
                raise _not_audio(path, ValueError("its codec is unknown"))
            self.rate_hz: int = context.sample_rate
            self.channels: int = context.channels
            context.thread_count = 1
            self.codec: str = context.name
            tags = {**self._container.metadata, **self._stream.metadata}
            self.comment: str = tags.get("comment") or tags.get("COMMENT") or tags.get("description") or ""
            self.frames = self._claimed_frames()
            # Its packets carry the number of their first frame, from 0 on.
            self.exact = (
                self.codec == self._container.format.name == "flac"
                and self._stream.start_time == 0
                and self._stream.time_base == Fraction(1, self.rate_hz)
            )
            self.uneven = False
            self._unparsed = _Unparsed(context.frame_size if self.codec.startswith("mp3") else 0)
        except BaseException:
            self.close()
            raise

    def _claimed_frames(self) -> int | None:
        seconds = None
        if self._stream.duration is not None and self._stream.time_base is not None:
            seconds = float(self._stream.duration * self._stream.time_base)
        elif self._container.duration is not None:
            seconds = self._container.duration / av.time_base
        if seconds is None or not 0 < seconds <= self.path.stat().st_size * 8 / MIN_BITS_PER_S:
            return None
        return round(seconds * self.rate_hz)

    def chunks(self, from_frame: int = 0) -> Iterator[tuple[int, FloatArray]]:
        """Start frame and samples float32 `(n, channels)`, full scale +-1, in order; a gap is where frames are missing.

        from_frame: chunks before it may be left out.
        """
        fifo = av.AudioFifo()
        start = end = 0  # of what is in the fifo
        base = self._seek(from_frame)
        sought = base is not None
        resampler: Any = None
        rate_hz = self.rate_hz
        # Integers: a Fraction for each of fifty packets a second costs as much as decoding them.
        ticks, per_s = self._stream.time_base.numerator * rate_hz, self._stream.time_base.denominator
        gap, limit = round(GAP_S * rate_hz), round(MAX_GAP_S * rate_hz)
        for frame in self._frames():
            if frame.pts is not None:
                position = frame.pts * ticks // per_s + self._unparsed.frames
                base = position - end if base is None else base
                if sought:
                    start = end = max(0, position - base)
                    sought = False
                late = position - base - end
                self.uneven |= bool(late or base)
                if gap < late <= limit:
                    yield from self._drain(fifo, start)
                    end += late
                    start = end
                elif not -gap <= late <= gap:
                    # Time stamps begin again (chained, joined files) or cannot be believed: samples are counted.
                    base = position - end
                frame.pts = None
            if resampler is None and (frame.sample_rate != rate_hz or frame.layout.nb_channels != self.channels):
                yield from self._drain(fifo, start)
                start, resampler = end, self._converter(frame, end)
            try:
                parts = [frame] if resampler is None else resampler.resample(frame)
            except ValueError:
                resampler = self._converter(frame, end)
                parts = resampler.resample(frame)
            for part in parts:
                part.pts = None
                try:
                    fifo.write(part)
                except ValueError:
                    # The stream continues in another sample format.
                    yield from self._drain(fifo, start)
                    start, fifo = end, av.AudioFifo()
                    fifo.write(part)
                end += part.samples
            if fifo.samples >= READ_FRAMES:
                yield from self._drain(fifo, start)
                start = end
        yield from self._drain(fifo, start)

    def _seek(self, frame: int) -> int | None:
        """Go to a place before `frame` where that is exact and saves time; the position of frame 0 there, else None."""
        origin = self._stream.start_time
        if frame < SEEK_S * self.rate_hz or self.codec not in SEEKABLE or origin is None:
            return None
        base = self._stream.time_base
        with suppress(OSError, ValueError, av.error.FFmpegError):
            self._container.seek(origin + int((frame / self.rate_hz - SEEK_BEFORE_S) / base), stream=self._stream)
            return int(origin * base.numerator * self.rate_hz // base.denominator)
        return None

    def _drain(self, fifo: Any, start: int) -> Iterator[tuple[int, FloatArray]]:
        if fifo.samples:
            yield start, samples_of(fifo.read(fifo.samples))

    def _converter(self, frame: Any, end: int) -> Any:
        """Brings a stream that changes its rate or channels to those of its beginning."""
        self.notes.append(
            f"{self.path} changes from {self.rate_hz} Hz and {self.channels} channels to {frame.sample_rate} Hz and "
            f"{frame.layout.nb_channels} after {end / self.rate_hz:.1f} s; it is converted"
        )
        return av.AudioResampler(format="fltp", layout=self._stream.layout.name, rate=self.rate_hz)

    def _frames(self) -> Iterator[Any]:
        """Decoded frames; what cannot be decoded is counted and left out."""
        in_a_row = 0
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (OSError, ValueError, av.error.FFmpegError) as error:
                # The container itself is damaged: what was read so far is what there is.
                self.damaged += 1
                self.notes.append(f"{self.path} cannot be read further ({_reason(error)}); what is before is scored")
                with suppress(OSError, ValueError, av.error.FFmpegError):
                    yield from self._stream.codec_context.decode(None)
                return
            try:
                for frame in packet.decode():
                    in_a_row = 0
                    yield frame
                self._unparsed.good(packet.size)
            except (OSError, ValueError, av.error.FFmpegError):
                if packet.size:
                    self.damaged += 1
                    in_a_row += 1
                    self._unparsed.damaged(packet.size)
                if in_a_row > MAX_ERRORS:
                    self.notes.append(f"{self.path} holds nothing that can be decoded from there on")
                    return

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def __enter__(self) -> FfmpegFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Unparsed:
    """Audio in the damaged bytes of an mp3, whose packets carry no time: the parser takes them for one large packet.

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
    name = frame.format.name.removesuffix("p")
    # A plane is padded at its end. It is (n,) of one channel, or (n, channels) where they are interleaved.
    planes = [np.frombuffer(plane, DTYPES[name]) for plane in frame.planes]
    channels = frame.layout.nb_channels
    each = 1 if frame.format.is_planar else channels
    parts = [plane[: frame.samples * each].reshape(-1, each) for plane in planes]
    data = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    if name == "u8":
        data = data.astype(np.float32) - np.float32(128.0)
    if name in SCALES:
        # Powers of two: exact in float32 for 24 bits and less.
        scaled: FloatArray = np.multiply(data, np.float32(1.0 / SCALES[name]), dtype=np.float32, casting="same_kind")
        return scaled
    return np.asarray(data, np.float32)


def _reason(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or str(error)).strip().rstrip(".")


def _not_audio(path: Path, error: BaseException) -> DecodeError:
    return DecodeError(
        f"{path} is not audio that can be read ({_reason(error)}); expected wav, flac, ogg, mp3, m4a, aiff or another "
        "format that FFmpeg decodes",
        path=path,
    )
