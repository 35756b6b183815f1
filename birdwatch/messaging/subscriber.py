"""A subscriber, as anybody may write one: for `birdwatch tail`, and for looking at a station from the outside."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import zmq

from birdwatch.errors import SinkError
from birdwatch.messaging.curve import use_client_keys

__all__ = ["Subscriber"]


class Subscriber:
    """Hears what a station at `endpoint` publishes under these prefixes.

    keys: a subscriber's folder of keys. Raises SinkError for what is no endpoint, ConfigError for keys that are none.
    """

    def __init__(self, endpoint: str, prefixes: Iterable[str] = ("birdwatch/1/",), *, keys: Path | None = None) -> None:
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.SUB)
        self._socket.linger = 0
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
        topic, body = self._socket.recv_multipart()
        return topic, body

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()
        self._context.term()

    def __enter__(self) -> Subscriber:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
