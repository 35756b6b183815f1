"""Real subscribers on loopback that import nothing of birdwatch, and waiting with a deadline."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import zmq

DEADLINE_S = 20.0


def until(done: Callable[[], bool], step: Callable[[], object], *, deadline_s: float = DEADLINE_S) -> None:
    """Take `step` (which waits a little for something to happen) until `done`, or fail at the deadline."""
    end = time.monotonic() + deadline_s
    while not done():
        assert time.monotonic() < end, "the deadline has passed"
        step()


def tick() -> None:
    """Let other threads and processes run for a moment."""
    threading.Event().wait(0.005)


class PlainSubscriber:
    """An ordinary pyzmq subscriber."""

    def __init__(self, endpoint: str, *prefixes: str, set_up: Callable[[Any], object] | None = None, hwm: int = 0):
        self.context: zmq.Context[Any] = zmq.Context()
        self.socket: zmq.Socket[bytes] = self.context.socket(zmq.SUB)
        self.socket.linger = 0
        self.socket.rcvhwm = hwm
        if set_up is not None:
            set_up(self.socket)
        self.socket.connect(endpoint)
        for prefix in prefixes or ("birdwatch/1/",):
            self.socket.subscribe(prefix.encode())

    def receive(self, wait_s: float = DEADLINE_S) -> dict[str, Any]:
        assert self.socket.poll(round(wait_s * 1000)), "nothing was received before the deadline"
        topic, body = self.socket.recv_multipart()
        value: dict[str, Any] = json.loads(body)
        assert topic.decode().split("/")[2] == value["kind"]
        return value

    def receives_nothing(self, wait_s: float) -> bool:
        return not self.socket.poll(round(wait_s * 1000))

    def close(self) -> None:
        self.socket.close()
        self.context.term()

    def __enter__(self) -> PlainSubscriber:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()
