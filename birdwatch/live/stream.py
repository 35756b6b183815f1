"""Network streams: the one place that uses PyAV (FFmpeg). RTSP, RTMP, HTTP, Icecast, HLS, SRT, RTP and UDP; audio only.

One thread per open stream decodes into a bounded queue and ends with it, so that a thousand reconnections leave no
thread and no descriptor behind. FFmpeg's own messages contain URLs: they are never shown, and no error is chained.
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from birdwatch._version import __version__
from birdwatch.audio.types import FloatArray
from birdwatch.errors import StreamError
from birdwatch.live.source import STREAM, Chunk, Clock
from birdwatch.live.stream_url import checked_url, redacted

if TYPE_CHECKING:
    import av

__all__ = ["NetworkStream"]

# How long a server may take to answer, and to send the next packet. An HLS segment is up to ten seconds long.
OPEN_S = 10.0
STALL_S = 12.0
# Decoded audio that waits for the daemon; behind it, TCP slows the server down.
QUEUE_CHUNKS = 400
# A stream that is so far behind its own beginning is slower than real time: a new connection begins at the present.
MAX_LAG_S = 15.0
# Timestamps jump by up to a packet where containers round them; by more, packets were lost. Above the second bound
# the server began anew.
MIN_JUMP_S, MAX_JUMP_S = 0.05, 10.0
# A real-time protocol's first timestamps are corrected when the first sender report arrives.
SETTLING_S = 3.0
# So many undecodable packets in a row are not damage but another format.
MAX_BAD_PACKETS = 100


class NetworkStream:
    """A stream at `url`, opened again by the daemon with back-off when it ends.

    Chunks have the stream's own rate and channels. Packets that are lost on the way are `lost_frames`; a stream that
    ends, stops sending, becomes too slow or changes its rate raises StreamError from `read`. Raises ConfigError for a
    URL that is none. `name` is the URL without credentials.
    """

    live = True
    finished = False
    traits = STREAM

    def __init__(self, url: str, clock: Clock) -> None:
        self._url = checked_url(url)
        self.name = redacted(url)
        self.lost_reason = "stream-lost"
        self._clock = clock
        self._attempt: _Attempt | None = None
        self._wanted = False

    def open(self) -> None:
        """Close what is open and connect, in a thread: ask `ready`."""
        if self._attempt is not None:
            self._attempt.stop()
        self._wanted = True

    def ready(self) -> bool:
        """Whether audio can be read. Raises StreamError, once, where the stream could not be opened."""
        if self._wanted:
            if self._attempt is not None and self._attempt.alive:
                # FFmpeg returns within its time-outs; a second thread would be one too many.
                return False
            self._wanted = False
            self._attempt = _Attempt(self._url, self.name, self._clock)
            self._attempt.start()
        if self._attempt is None:
            return False
        if self._attempt.fault is not None and not self._attempt.opened:
            text, self._attempt = self._attempt.fault, None
            raise StreamError(text)
        return self._attempt.opened

    def read(self, timeout_s: float) -> list[Chunk]:
        """All chunks that have arrived. Raises StreamError, once, where the stream has ended."""
        attempt = self._attempt
        if attempt is None or self._wanted or not attempt.opened:
            if timeout_s > 0:
                threading.Event().wait(timeout_s)
            return []
        chunks = attempt.take(timeout_s)
        if not chunks and attempt.fault is not None:
            self._attempt = None
            self.lost_reason = attempt.reason
            raise StreamError(attempt.fault)
        return chunks

    def close(self) -> None:
        """End the connection; its thread is gone within FFmpeg's time-outs."""
        self._wanted = False
        if self._attempt is not None:
            self._attempt.stop()


class _Attempt:
    """One connection, and the thread that reads from it."""

    def __init__(self, url: str, name: str, clock: Clock) -> None:
        self.opened = False
        self.fault: str | None = None
        self.reason = "stream-lost"
        self._url = url
        self._name = name
        self._clock = clock
        self._queue: queue.Queue[Chunk] = queue.Queue(QUEUE_CHUNKS)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stream", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether its thread still runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def stop(self) -> None:
        """End soon."""
        self._stopped.set()

    def take(self, timeout_s: float) -> list[Chunk]:
        """What has arrived, waiting at most `timeout_s`."""
        chunks = []
        try:
            chunks.append(self._queue.get(timeout=timeout_s) if timeout_s > 0 else self._queue.get_nowait())
            while True:
                chunks.append(self._queue.get_nowait())
        except queue.Empty:
            pass
        return chunks

    def _run(self) -> None:
        import av

        # Its messages name URLs with their passwords.
        av.logging.set_level(None)
        try:
            container = av.open(self._url, options=_options(self._url), timeout=(OPEN_S, STALL_S))
            with container:
                audio = next((stream for stream in container.streams if stream.type == "audio"), None)
                if audio is None:
                    raise StreamError(f"{self._name} has no audio")
                for stream in container.streams:
                    if stream is not audio:
                        stream.discard = av.stream.Discard.all
                self._decode(container, audio)
        except StreamError as error:
            self.fault = str(error)
        except av.error.ExitError:
            self.fault, self.reason = f"{self._name} has not sent anything for {STALL_S:g} s", "stall"
        except av.error.ProtocolNotFoundError:
            scheme = self._url.split(":", 1)[0]
            self.fault = f"{self._name}: this PyAV has no {scheme}; install one that has: pip install --no-binary av av"
        except (av.error.FFmpegError, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            self.fault = f"{self._name} cannot be read: {reason.lower()}"
        else:
            self.fault = f"{self._name} has ended"

    def _decode(self, container: av.container.InputContainer, audio: Any) -> None:
        resampler: Any = None
        track = _Track(self._name, self._clock)
        bad = 0
        import av

        audio.codec_context.thread_count = 1
        for packet in container.demux(audio):
            if self._stopped.is_set():
                return
            try:
                frames = packet.decode()
                bad = 0
            except av.error.InvalidDataError:
                bad += 1
                if bad > MAX_BAD_PACKETS:
                    raise StreamError(f"{self._name} cannot be decoded") from None
                continue
            for frame in frames:
                # Planar floats at the stream's own rate: resampling is the model's business.
                resampler = resampler or av.AudioResampler(format="fltp", layout=frame.layout, rate=frame.rate)
                lost_frames = track.follow(frame)
                for planar in resampler.resample(frame):
                    self._put(track.chunk(np.ascontiguousarray(planar.to_ndarray().T), lost_frames))
                    lost_frames = 0
                self.reason = track.reason

    def _put(self, chunk: Chunk) -> None:
        self.opened = True
        while not self._stopped.is_set():
            try:
                self._queue.put(chunk, timeout=0.5)
            except queue.Full:
                continue
            return


class _Track:
    """Compares a stream's timestamps with what arrived: lost packets, another rate, too slow."""

    def __init__(self, name: str, clock: Clock) -> None:
        self.reason = "stream-lost"
        self._name = name
        self._clock = clock
        self._format: tuple[int, int] | None = None
        self._next_s: float | None = None
        self._received_s = 0.0
        self._least_lag_s: float | None = None

    def follow(self, frame: Any) -> int:
        """How many frames are missing before `frame`. Raises StreamError where the stream must be opened anew."""
        now_s = self._clock.now().awake_ns / 1e9
        form = (frame.rate, frame.layout.nb_channels)
        self._format = self._format or form
        if form != self._format:
            raise StreamError(f"{self._name} changed from {_text(self._format)} to {_text(form)}")
        length_s = frame.samples / frame.rate
        missing_s = 0.0
        if frame.time is not None and self._next_s is not None and self._received_s > SETTLING_S:
            missing_s = frame.time - self._next_s
            if abs(missing_s) > MAX_JUMP_S:
                raise StreamError(f"{self._name} began anew: its timestamps jumped by {missing_s:.1f} s")
        if missing_s < MIN_JUMP_S:
            missing_s = 0.0
        if frame.time is not None:
            self._next_s = frame.time + length_s
        self._received_s += length_s + missing_s
        lag_s = now_s - self._received_s
        self._least_lag_s = lag_s if self._least_lag_s is None else min(self._least_lag_s, lag_s)
        if lag_s - self._least_lag_s > MAX_LAG_S:
            self.reason = "stall"
            raise StreamError(f"{self._name} is slower than real time, by {lag_s - self._least_lag_s:.0f} s so far")
        return round(missing_s * float(frame.rate))

    def chunk(self, samples: FloatArray, lost_frames: int) -> Chunk:
        """Decoded samples `(n, channels)`, stamped now."""
        assert self._format is not None
        return Chunk(samples, self._format[0], self._clock.now(), lost_frames, lost_reason="stream-lost")


def _options(url: str) -> dict[str, str]:
    """Options for FFmpeg: little buffering at the start, no pictures, TCP where RTSP has both."""
    scheme = url.split(":", 1)[0].lower()
    options = {"analyzeduration": "1000000", "fflags": "nobuffer"}
    if scheme in ("rtsp", "rtsps"):
        options |= {"rtsp_flags": "prefer_tcp", "allowed_media_types": "audio"}
    if scheme in ("http", "https"):
        # The newest segment of an HLS stream, so that a new connection begins at the present.
        options |= {"user_agent": f"birdwatch/{__version__}", "live_start_index": "-1"}
    if url.endswith(".sdp"):
        options["protocol_whitelist"] = "file,rtp,udp"
    return options


def _text(form: tuple[int, int]) -> str:
    return f"{form[0]} Hz, {form[1]} channels"
