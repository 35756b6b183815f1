"""Publishes the station's messages to all subscribers without waiting for any of them.

Messages are numbered and handed to the server's thread (server, broadcast), and to the message log (replay_server). A
subscriber that has just come is greeted with the current status.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from birdwatch.messaging.broadcast import Broadcast
from birdwatch.messaging.curve import StationKeys
from birdwatch.messaging.endpoint import bind, remove_socket_file
from birdwatch.messaging.message_pages import Entry
from birdwatch.messaging.messages import Envelope, Message, frames
from birdwatch.messaging.replay_server import ReplayServer
from birdwatch.messaging.series import Series
from birdwatch.messaging.server import Server
from birdwatch.messaging.zmtp import NullMechanism

__all__ = ["Publisher"]

# Messages waiting for one subscriber. At the 200 or so a minute of a busy garden this is minutes of absence, and the
# message log has the rest.
HIGH_WATER = 1000

# How long the last messages may take to leave when the daemon stops, and the thread that sends them to end.
LINGER_S = 1.0
STOP_S = 1.0

# A new subscriber is greeted by a status to all, no more often than this: greetings are kept in the message log, which
# peers that come and go must not be able to fill.
GREETING_S = 1.0


class Publisher:
    """Numbers messages and sends them to all who subscribed; `poll` now and then, `close` at the end.

    endpoint: where to bind, loopback or ipc unless `keys` or `insecure`. journal: the file that keeps what was
    published, up to `journal_max_bytes`, to be asked for at `replay_endpoint`; None for none. clips: the folder whose
    clips may be asked for there too. keys: the folder of the station's CURVE keys. clock: nanoseconds since 1970, for
    `sent` only. Raises ConfigError for an invalid endpoint or keys, SinkError if an endpoint cannot be bound; a message
    log that cannot be written is not an error but counted. To be used from one thread.
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
        self._all: tuple[Series, ...] = (self._own,)
        self._clock = clock
        self._keys = None if keys is None else StationKeys(keys)
        mechanism = NullMechanism if self._keys is None else self._keys.mechanism
        secured = self._keys is not None or insecure
        self._server = Server()
        self._replay: ReplayServer | None = None
        self._bound: list[str] = []
        self._broadcast = Broadcast(high_water, self._subscribed, self._server.wake)
        try:
            sock, self.endpoint = bind(endpoint, option="--bind", secured=secured)
            self._bound.append(self.endpoint)
            self._server.add(sock, self._broadcast, mechanism)
            if journal is not None:
                self._replay = ReplayServer(self._server, journal, max_bytes=journal_max_bytes, clips=clips)
                if replay_endpoint is not None:
                    sock, bound = bind(replay_endpoint, option="--replay-bind", secured=secured)
                    self._bound.append(bound)
                    self._replay.listen(sock, bound, mechanism)
            self._server.start()
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
        return self._broadcast.subscriptions

    @property
    def dropped(self) -> int:
        """Messages that slow subscribers lost, together."""
        return self._broadcast.dropped

    @property
    def spectrum_wanted(self) -> bool:
        """Whether a subscription names the kind `spectrum`, so that it is worth computing."""
        return self._broadcast.spectrum_subscriptions > 0

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
        """Which species messages say may be detected."""
        return self._own.envelope.filter

    @filter.setter
    def filter(self, text: str | None) -> None:
        self._own.envelope = replace(self._own.envelope, filter=text)

    def join(self, series: Series) -> None:
        """Publish one more station's messages on this socket."""
        self._all = (*self._all, series)

    def leave(self, series: Series) -> None:
        """A station is gone."""
        self._all = tuple(other for other in self._all if other is not series)

    def publish(self, message: Message, series: Series | None = None) -> int:
        """Send `message` of a station (the first one) and return its number. Never waits.

        Raises ValueError for NaN or infinity in it.
        """
        series = series or self._own
        seq = series.last_seq + 1
        more: dict[str, Any] = {}
        if message.kind == "status":
            more = {"last_seq": series.last_seq, **self._own_state()}
        pair = frames(message, series.envelope, seq=seq, sent_ns=self._clock(), more=more)
        if message.kind == "status":
            # Before it is sent: later subscribers get another status.
            series.status, series.greet = message, False
        series.last_seq = seq
        if self._replay is not None:
            # Before subscribers get it, so that a missing message can be requested as soon as it is noticed.
            self._replay.offer(Entry(series.envelope.boot_id, seq, *pair))
        self._broadcast.offer(pair)
        return seq

    def publish_spectrum(self, message: Message, series: Series | None = None) -> None:
        """Send columns of the mel image, if `spectrum_wanted`: without a number, never kept. Never waits."""
        if self.spectrum_wanted:
            envelope = (series or self._own).envelope
            self._broadcast.offer_spectrum(frames(message, envelope, seq=None, sent_ns=self._clock()))

    def poll(self) -> None:
        """Send a status to new subscribers. Never waits."""
        now = time.monotonic()
        for series in self._all:
            if series.greet and series.status is not None and now >= series.next_greeting:
                series.next_greeting = now + GREETING_S
                self.publish(series.status, series)

    def read_keys(self) -> frozenset[bytes] | None:
        """The subscribers' keys that are in the folder now, for `use_keys`. Raises ConfigError."""
        return None if self._keys is None else self._keys.clients()

    def use_keys(self, clients: frozenset[bytes] | None) -> None:
        """Let these connect from now on."""
        if self._keys is not None and clients is not None:
            self._keys.use(clients)

    def reload_keys(self) -> None:
        """Accept the keys that are in the folder now. Raises ConfigError, and all stays as it was."""
        self.use_keys(self.read_keys())

    def close(self) -> None:
        """Send the last messages and close the endpoints."""
        self._server.close(LINGER_S, STOP_S)
        if self._replay is not None:
            self._replay.close()
        for endpoint in self._bound:
            remove_socket_file(endpoint)
        self._bound.clear()

    def _subscribed(self, prefix: bytes) -> None:
        """A subscription came in; on the server's thread."""
        for series in self._all:
            if series.status_topic.startswith(prefix):
                series.greet = True

    def _own_state(self) -> dict[str, Any]:
        return {
            "subscribers_dropped": self.dropped,
            "journal": None if self._replay is None else self._replay.state(),
            "connections": {
                "open": self._server.connections,
                "shed": self._server.shed,
                "shed_reason": self._server.shed_reason,
                "fault": self._server.fault,
            },
        }

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
