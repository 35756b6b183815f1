"""Network streams: the one place that uses PyAV (FFmpeg). RTSP, RTMP, HTTP, Icecast, HLS, SRT, RTP and UDP; audio only.

One thread per open stream decodes into a bounded queue and ends with it, so that a thousand reconnections leave no
thread and no descriptor behind. FFmpeg's own messages contain URLs: they are never shown, and no error is chained.
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any

from birdwatch._version import __version__
from birdwatch.errors import StreamError
from birdwatch.live.source import STREAM, Chunk, Clock
from birdwatch.live.stream_pieces import Pieces, Windows, gathered
from birdwatch.live.stream_url import checked_url, redacted

if TYPE_CHECKING:
    import av

__all__ = ["NetworkStream"]

# How long a server may take to answer, and to send the next packet. An HLS segment is up to ten seconds long.
OPEN_S = 10.0
STALL_S = 12.0
# Decoded audio that waits for the daemon, 40 s; behind it, TCP slows the server down.
QUEUE_CHUNKS = 400
# So many undecodable packets in a row are not damage but another format.
MAX_BAD_PACKETS = 100
# A decoder gives the interpreter's lock away and takes it again several times a packet: so many threads decode at once,
# and the others wait for their turn without asking for that lock. They never wait for a server there.
DECODING = threading.Semaphore(2)
# The connections that are open in this process. Adding to and removing from a set are single steps of the interpreter.
_OPEN: set[_Attempt] = set()


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

    def expect_window(self, in_s: float, every_s: float) -> None:
        """See `Paced`."""
        if self._attempt is not None:
            self._attempt.expect_window(in_s, every_s)

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
        self._pieces = Pieces(name, clock, self._put)
        self._taken_s = 0.0
        # Packets in a row that could not be decoded.
        self._bad = 0
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
        if timeout_s <= 0 and self._queue.empty():
            return []
        chunks = []
        try:
            chunks.append(self._queue.get(timeout=timeout_s) if timeout_s > 0 else self._queue.get_nowait())
            while True:
                chunks.append(self._queue.get_nowait())
        except queue.Empty:
            pass
        self._taken_s += sum(len(chunk.samples) / chunk.rate_hz for chunk in chunks)
        return chunks

    def expect_window(self, in_s: float, every_s: float) -> None:
        """A window is complete `in_s` seconds after what was taken, and one each `every_s`."""
        self._pieces.windows = Windows(self._taken_s + in_s, every_s)

    def _run(self) -> None:
        import av

        # FFmpeg's messages contain URLs with passwords.
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
        """Decode until the stream ends or is stopped."""
        pieces = self._pieces
        audio.codec_context.thread_count = 1
        _OPEN.add(self)

        def length_s() -> float:
            return pieces.length_s(len(_OPEN))

        try:
            for packets in gathered(container.demux(audio), float(1 / audio.time_base), length_s):
                if self._stopped.is_set():
                    return
                arrived = self._clock.now()
                pieces.add(self._frames(packets), arrived)
                self._stopped.wait(max(0.0, pieces.rest_s(length_s())))
        finally:
            _OPEN.discard(self)
            self.reason = pieces.reason

    def _frames(self, packets: list[Any]) -> list[Any]:
        """Decoded frames; packets that cannot be decoded are left out."""
        import av

        frames: list[Any] = []
        with DECODING:
            for packet in packets:
                try:
                    frames += packet.decode()
                    self._bad = 0
                except av.error.InvalidDataError:
                    self._bad += 1
        if self._bad > MAX_BAD_PACKETS:
            raise StreamError(f"{self._name} cannot be decoded")
        return frames

    def _put(self, chunk: Chunk) -> None:
        self.opened = True
        while not self._stopped.is_set():
            try:
                self._queue.put(chunk, timeout=0.5)
            except queue.Full:
                continue
            return


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
