"""Compressed audio files through FFmpeg, by PyAV.

Lengths in containers are not trusted: a stream ends where its decoder ends. Packets that cannot be decoded are counted
and skipped; the audio after them keeps its true time.
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

from birdwatch.audio.ffmpeg_frames import Sink, TimeStamps, Unparsed
from birdwatch.audio.joined import content_end, flac_begins, is_joined, left_over, next_part, unread_bytes
from birdwatch.audio.region import Region
from birdwatch.audio.sample_header import SampleHeader
from birdwatch.audio.types import FloatArray
from birdwatch.errors import DecodeError

__all__ = ["FfmpegFile"]

# Codecs report each damaged packet on stderr, hundreds of lines for one file; they are counted instead. With any other
# level than None PyAV takes the interpreter's lock for every message of FFmpeg, whether it is shown or not.
av.logging.set_level(None)

# After this many damaged packets in a row a file is given up.
MAX_ERRORS = 2000
# No audio codec needs less: a duration that is too long for the file's size is ignored.
MIN_BITS_PER_S = 400

# Codecs whose time stamps are right after a seek; others are decoded from the start.
SEEKABLE = frozenset({"flac", "vorbis", "opus", "libopus", "aac", "alac"})
# Bare streams (mp2 in the one called mp3) whose packets carry no time -> frames in a packet.
RAW_FRAMES = {"mp3": 1152, "ac3": 1536}
# Formats that may lack a length, as FFmpeg calls them, and how exactly its estimate fits the size.
ESTIMATED = frozenset({"aac", "ac3", "amr", "dts", "eac3", "loas", "mp3", "truehd"})
ESTIMATE_SLACK = 1.02
# Closer to the start, decoding is as fast as seeking; after a seek a decoder needs some packets to be exact.
SEEK_S, SEEK_BEFORE_S = 120.0, 5.0


class FfmpegFile:
    """The first audio stream of a file: open it, read its properties, `chunks` decodes it from the start, once.

    rate_hz and channels are those of its beginning; what changes to another rate on the way is converted. `frames` is
    the container's claim where it is plausible, else None; `estimated`: FFmpeg's guess from the size and the first
    bit rate. `comment` is the tag of that name. `damaged` counts packets that could not be decoded. `exact`:
    decoding may begin at any frame, unless time stamps turn out to be `uneven`. header: a wav file's. Raises
    DecodeError, which names the file, where it is not audio.
    """

    def __init__(self, path: Path, header: SampleHeader | None = None) -> None:
        self.path = path
        self.damaged = 0
        self.notes: list[str] = []
        self._region: Region | None = None
        self._size = self._content_size(header)
        ignore_length = header is not None and header.claims_less
        source = str(path) if self._region is None else self._region
        self._container: Any = _opened(path, source, {"ignore_length": "1"} if ignore_length else {})
        try:
            self._stream: Any = _audio_stream(path, self._container)
            context = self._stream.codec_context
            self.rate_hz: int = context.sample_rate
            self.channels: int = context.channels
            self.layout: str = context.layout.name
            self.codec: str = context.name
            tags = {**self._container.metadata, **self._stream.metadata}
            self.comment: str = tags.get("comment") or tags.get("COMMENT") or tags.get("description") or ""
            self.frames = None if ignore_length else self._claimed_frames()
            self.estimated = self._is_estimated()
            # Its packets carry the number of their first frame, from 0 on.
            self.exact = (
                self.codec == self._container.format.name == "flac"
                and self._stream.start_time == 0
                and self._stream.time_base == Fraction(1, self.rate_hz)
            )
            self.uneven = False
            self._unparsed = Unparsed(
                context.frame_size if self.codec.startswith("mp3") else RAW_FRAMES.get(self._container.format.name, 0)
            )
            # The byte of the file up to which packets were read, and at which the container begins.
            self._read_to = self._begins = 0
            self._fault = ""  # why the container could not be read to its end
        except BaseException:
            self.close()
            raise

    def _content_size(self, header: SampleHeader | None) -> int:
        """Bytes up to the zeros that fill the rest: FFmpeg would look for audio in all of them, and keep them."""
        try:
            size, end = self.path.stat().st_size, content_end(self.path)
        except OSError as error:
            raise _not_audio(self.path, error) from error
        if header is not None:
            end = max(end, header.data_start + header.data_bytes)
        if end < size:
            if not end:
                raise _not_audio(self.path, ValueError("it holds nothing but zeros"))
            self._region = Region(self.path, 0, end)
            self.notes.append(f"{self.path} ends with {(size - end) / 1e6:.1f} MB of zeros, which are no audio")
        return end

    def _claimed_frames(self) -> int | None:
        seconds = None
        if self._stream.duration is not None and self._stream.time_base is not None:
            seconds = float(self._stream.duration * self._stream.time_base)
        elif self._container.duration is not None:
            seconds = self._container.duration / av.time_base
        if seconds is None or not 0 < seconds <= self._size * 8 / MIN_BITS_PER_S:
            return None
        return round(seconds * self.rate_hz)

    def _is_estimated(self) -> bool:
        """Whether the length follows from the size, as of a raw stream, which has none in its header."""
        if self._container.format.name not in ESTIMATED or not self.frames or not self._stream.bit_rate:
            return False
        # The index of a truncated mp3 gives more bytes than the file has.
        return bool(self.frames / self.rate_hz * self._stream.bit_rate / 8 < self._size * ESTIMATE_SLACK)

    def chunks(self, from_frame: int = 0) -> Iterator[tuple[int, FloatArray]]:
        """Start frame and samples float32 `(n, channels)`, full scale +-1, in order; a gap is where frames are missing.

        from_frame: chunks before it may be left out.
        """
        sink = Sink(self)
        base = self._seek(from_frame)
        sought = base is not None
        while True:
            stamps = TimeStamps(self._stream, self.rate_hz, base)
            for frame in self._frames():
                if frame.pts is not None:
                    position = stamps.position(frame.pts) + self._unparsed.frames
                    if sought:
                        sink.start = sink.end = max(0, position - stamps.base)
                        sought = False
                    late = stamps.late(position, sink.end)
                    self.uneven |= stamps.uneven
                    if late:
                        yield from sink.drain()
                        sink.start = sink.end = sink.end + late
                    frame.pts = None
                yield from sink.push(frame)
            if not self._open_next():
                break
            # WavPack's blocks are numbered, also behind damage; in a file that was joined they begin again.
            base = 0 if self._container.format.name == "wv" else None
        yield from sink.drain()

    def _seek(self, frame: int) -> int | None:
        """Go to a place before `frame` where that is exact and saves time; the position of frame 0 there, else None."""
        origin = self._stream.start_time
        if frame < SEEK_S * self.rate_hz or self.codec not in SEEKABLE or origin is None:
            return None
        if is_joined(self.path, self._container.format.name):
            return None
        base = self._stream.time_base
        with suppress(OSError, ValueError, av.error.FFmpegError):
            self._container.seek(origin + int((frame / self.rate_hz - SEEK_BEFORE_S) / base), stream=self._stream)
            return int(origin * base.numerator * self.rate_hz // base.denominator)
        return None

    def _open_next(self) -> bool:
        """Continue with an appended recording that FFmpeg did not read; note left-over bytes."""
        at = next_part(self.path, self._container.format.name, self._read_to, self._size)
        if at is not None and at > self._begins:
            region = Region(self.path, at, self._size - at)
            with suppress(DecodeError):
                container = _opened(self.path, region, {})
                try:
                    stream = _audio_stream(self.path, container)
                except DecodeError:
                    container.close()
                    raise
                self.close()
                self._container, self._stream, self._region = container, stream, region
                self._begins = self._read_to = at
                self._fault = ""
                return True
            region.close()
        if self._fault:
            self.damaged += 1
            self.notes.append(f"{self.path} cannot be read further ({self._fault}); what is before is scored")
        left = 0 if len(self._container.streams) > 1 else unread_bytes(self._size, self._read_to)
        if left and not self._fault:
            self.notes.append(left_over(self.path, left))
        return False

    def _frames(self) -> Iterator[Any]:
        """Decoded frames; what cannot be decoded is counted and left out."""
        in_a_row = 0
        begins = self._begins
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (OSError, ValueError, av.error.FFmpegError) as error:
                # The container itself is damaged: the recording ends here.
                self._fault = _reason(error)
                with suppress(OSError, ValueError, av.error.FFmpegError):
                    yield from self._stream.codec_context.decode(None)
                return
            another = flac_begins(bytes(packet)) if self._container.format.name == "flac" else -1
            if packet.pos is not None:
                self._read_to = begins + packet.pos + (packet.size if another < 0 else another)
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
            if another >= 0:
                yield from self._stream.codec_context.decode(None)
                return

    def close(self) -> None:
        """Close the file."""
        self._container.close()
        if self._region is not None:
            self._region.close()

    def __enter__(self) -> FfmpegFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _opened(path: Path, source: str | Region, options: dict[str, str]) -> Any:
    try:
        return av.open(source, metadata_errors="replace", options=options)
    except (OSError, ValueError, av.error.FFmpegError) as error:
        raise _not_audio(path, error) from error


def _audio_stream(path: Path, container: Any) -> Any:
    """The first audio stream, to be decoded by one thread. Raises DecodeError."""
    if not container.streams.audio:
        raise DecodeError(f"{path} holds no audio stream; expected a recording", path=path)
    stream = container.streams.audio[0]
    context = stream.codec_context
    if context is None or not context.sample_rate or not context.channels:
        raise _not_audio(path, ValueError("its codec is unknown"))
    context.thread_count = 1
    return stream


def _reason(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or str(error)).strip().rstrip(".")


def _not_audio(path: Path, error: BaseException) -> DecodeError:
    return DecodeError(
        f"{path} is not audio that can be read ({_reason(error)}); expected wav, flac, ogg, mp3, m4a, aiff or another "
        "format that FFmpeg decodes",
        path=path,
    )
