"""A subscriber on an ordinary ZeroMQ socket, for `birdwatch tail` and other clients."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import zmq

from birdwatch.errors import SinkError
from birdwatch.messaging.curve import use_client_keys

__all__ = ["Subscriber"]

# The scores of 6522 species are 130 kB.
MAX_MESSAGE_BYTES = 16_000_000


class Subscriber:
    """Receives what a station at `endpoint` publishes under these prefixes.

    keys: a subscriber's folder of keys. Raises SinkError for what is no endpoint, ConfigError for keys that are none.
    """

    def __init__(self, endpoint: str, prefixes: Iterable[str] = ("birdwatch/1/",), *, keys: Path | None = None) -> None:
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.SUB)
        self._socket.linger = 0
        self._socket.maxmsgsize = MAX_MESSAGE_BYTES
        self._socket.ipv6 = endpoint.startswith("tcp://[")
        try:
            if keys is not None:
                use_client_keys(self._socket, keys)
            self._socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise SinkError(f"{endpoint} is no endpoint: {error.strerror}; expected tcp://HOST:PORT") from error
        except BaseException:
            self.close()
            raise
        for prefix in prefixes:
            self._socket.subscribe(prefix.encode())

    def receive(self, timeout_s: float) -> tuple[bytes, bytes] | None:
        """The next message's topic and body, or None if none comes in this time."""
        if not self._socket.poll(round(timeout_s * 1000)):
            return None
        frames = self._socket.recv_multipart()
        # The endpoint may not be that of a station.
        return (frames[0], frames[1]) if len(frames) == 2 else None

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()
        self._context.term()

    def __enter__(self) -> Subscriber:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
