"""The socket that everybody listens to: never waits for a subscriber, counts what a slow one loses.

A subscriber that has just come is greeted with the current status. That a queue has become full is known, because
each message is first offered to all (XPUB_NODROP) and only then forced past those that are full; ZeroMQ then leaves
such a subscriber out, and does not say how many messages it missed, until its queue is half empty again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import zmq

from birdwatch.messaging.curve import Gatekeeper
from birdwatch.messaging.endpoint import bind, bound_peers
from birdwatch.messaging.message_log import Entry
from birdwatch.messaging.messages import SCHEMA, Envelope, Message, frames
from birdwatch.messaging.replay_server import ReplayServer
from birdwatch.messaging.series import Series

__all__ = ["Publisher"]

# Messages waiting for one subscriber. At the 200 or so a minute of a busy garden this is minutes of absence, and the
# journal has the rest.
HIGH_WATER = 1000

# How long the last messages may take to leave when the daemon stops.
LINGER_MS = 1000

# However many come at once, the daemon's loop goes on; the rest waits for the next poll.
MAX_REQUESTS_A_POLL = 1000

# Subscriptions that ask for spectra; `birdwatch/1/` does not.
SPECTRUM_PREFIX = f"{SCHEMA}/spectrum/".encode()

# Contexts whose journal waits for a disk that does not answer: to end them, as their finalizer does, is to wait too.
_STUCK: list[zmq.Context[Any]] = []


class Publisher:
    """Numbers messages and sends them to all who subscribed; `poll` now and then, `close` at the end.

    endpoint: where to bind, loopback or ipc unless `keys` or `insecure`. journal: the file that keeps what was
    published, up to `journal_max_bytes`, to be asked for at `replay_endpoint`; None for none. clips: the folder whose
    clips may be asked for there too. keys: the folder of the station's CURVE keys. clock: nanoseconds since 1970, for
    `sent` only. Raises ConfigError for an endpoint or keys that do not do, SinkError where an endpoint cannot be bound;
    a journal that cannot be written is no error but counted. To be used from one thread.
    """

    def __init__(
        self,
        endpoint: str,
        envelope: Envelope,
        *,
        journal: Path | None = None,
        journal_max_bytes: int = 0,
        replay_endpoint: str | None = None,
        keys: Path | None = None,
        insecure: bool = False,
        clips: Path | None = None,
        high_water: int = HIGH_WATER,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        # The first station's; further ones join (station_publisher).
        self._own = Series(envelope)
        self._all: list[Series] = [self._own]
        self._clock = clock
        self.dropped = 0
        self._subscriptions = self._spectrum_subscriptions = 0
        # A context of its own, with its own gatekeeper.
        self._context: zmq.Context[Any] = zmq.Context()
        self._gatekeeper: Gatekeeper | None = None
        self._replay: ReplayServer | None = None
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.XPUB)
        try:
            if keys is not None:
                self._gatekeeper = Gatekeeper(self._context, keys)
                self._gatekeeper.guard(self._socket)
            self._socket.sndhwm = high_water
            self._socket.linger = LINGER_MS
            bound_peers(self._socket)
            self._socket.setsockopt(zmq.XPUB_VERBOSER, 1)
            self._socket.setsockopt(zmq.XPUB_NODROP, 1)
            secured = keys is not None or insecure
            self.endpoint = bind(self._socket, endpoint, option="--bind", secured=secured)
            if journal is not None:
                self._replay = ReplayServer(
                    self._context,
                    journal,
                    max_bytes=journal_max_bytes,
                    endpoint=replay_endpoint,
                    gatekeeper=self._gatekeeper,
                    insecure=insecure,
                    clips=clips,
                )
        except BaseException:
            self.close()
            raise

    @property
    def replay_endpoint(self) -> str | None:
        """Where replay is asked for, with its real port."""
        return self._replay.endpoint if self._replay is not None else None

    @property
    def subscriptions(self) -> int:
        """Subscriptions in force; a subscriber may hold several."""
        return self._subscriptions

    @property
    def spectrum_wanted(self) -> bool:
        """Whether a subscription names the kind `spectrum`, so that it is worth computing."""
        return self._spectrum_subscriptions > 0

    @property
    def last_seq(self) -> int:
        """Number of the newest message of the first station."""
        return self._own.last_seq

    @property
    def source(self) -> str:
        """The device or file that messages name."""
        return self._own.envelope.source

    @source.setter
    def source(self, name: str) -> None:
        self._own.envelope = replace(self._own.envelope, source=name)

    @property
    def filter(self) -> str | None:
        """Which species messages say are let through."""
        return self._own.envelope.filter

    @filter.setter
    def filter(self, text: str | None) -> None:
        self._own.envelope = replace(self._own.envelope, filter=text)

    def join(self, series: Series) -> None:
        """Publish one more station's messages on this socket."""
        self._all.append(series)

    def leave(self, series: Series) -> None:
        """A station is gone."""
        self._all.remove(series)

    def publish(self, message: Message, series: Series | None = None) -> int:
        """Send `message` of a station (the first one) and return its number. Never waits.

        Raises ValueError for NaN or infinity in it.
        """
        series = series or self._own
        seq = series.last_seq + 1
        more: dict[str, Any] = {}
        if message.kind == "status":
            more = {"subscribers_dropped": self.dropped, "last_seq": series.last_seq, "journal": self._journal_state()}
        pair = frames(message, series.envelope, seq=seq, sent_ns=self._clock(), more=more)
        if message.kind == "status":
            series.status, series.greet = message, False
        series.last_seq = seq
        if self._replay is not None:
            # Before anybody hears of it, so that a hole can be filled as soon as it is noticed.
            self._replay.offer(Entry(series.envelope.boot_id, seq, *pair))
        try:
            self._socket.send_multipart(pair, zmq.NOBLOCK)
        except zmq.Again:
            # Somebody's queue is full: everybody else gets it, and the loss is counted.
            self.dropped += 1
            self._socket.setsockopt(zmq.XPUB_NODROP, 0)
            self._socket.send_multipart(pair, zmq.NOBLOCK)
            self._socket.setsockopt(zmq.XPUB_NODROP, 1)
        return seq

    def publish_spectrum(self, message: Message, series: Series | None = None) -> None:
        """Send columns of the mel image, if `spectrum_wanted`: without a number, never kept. Never waits."""
        if self.spectrum_wanted:
            pair = frames(message, (series or self._own).envelope, seq=None, sent_ns=self._clock())
            with suppress(zmq.Again):
                self._socket.send_multipart(pair, zmq.NOBLOCK)

    def poll(self) -> None:
        """Take in who came and went, and greet those who came for the status. Never waits."""
        for _ in range(MAX_REQUESTS_A_POLL):
            try:
                request = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                break
            change = {b"\x01": 1, b"\x00": -1}.get(request[:1], 0)
            self._subscriptions += change
            self._spectrum_subscriptions += change * request[1:].startswith(SPECTRUM_PREFIX)
            for series in self._all if change > 0 else ():
                series.greet |= series.status_topic.startswith(request[1:])
        for series in self._all:
            if series.greet and series.status is not None:
                self.publish(series.status, series)

    def reload_keys(self) -> None:
        """Let in whose keys are in the folder now. Raises ConfigError, and all stays as it was."""
        if self._gatekeeper is not None:
            self._gatekeeper.reload()

    def close(self) -> None:
        """Let the last messages go and give the endpoint back."""
        self._socket.close()
        ended = self._replay is None or self._replay.close()
        if self._gatekeeper is not None:
            ended &= self._gatekeeper.close()
            self._gatekeeper = None
        if ended:
            self._context.term()
        else:
            _STUCK.append(self._context)

    def _journal_state(self) -> dict[str, Any] | None:
        if self._replay is None:
            return None
        return {"written": self._replay.written, "dropped": self._replay.dropped, "fault": self._replay.fault}

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
