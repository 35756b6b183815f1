"""The subscriptions of each peer, and its position in the published messages.

All messages that wait stand once in a bounded backlog; a subscriber is only its prefixes and a position in it. A slow
subscriber that is overtaken by the backlog's end loses the oldest messages, which are counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from birdwatch.messaging.messages import SCHEMA
from birdwatch.messaging.peer import Peer
from birdwatch.messaging.zmtp import Event, ProtocolError, Subscription

__all__ = ["SPECTRUM_PREFIX", "Broadcast"]

# Messages handed over by the station that the server has not taken in yet.
INBOX = 10_000
# Bytes of messages that wait, whatever their number: a minute's scores of 6522 species are 130 kB.
BACKLOG_BYTES = 32_000_000
# Spectra that wait for a display: what is older than two seconds is of no use to it.
SPECTRA = 20

# Maximum subscriptions of one subscriber: enough for a prefix for each species of a region.
MAX_SUBSCRIPTIONS = 512
MAX_SUBSCRIPTION_BYTES = 32 * 1024

# Subscriptions that ask for spectra; `birdwatch/1/` does not.
SPECTRUM_PREFIX = f"{SCHEMA}/spectrum/".encode()

Frames = tuple[bytes, bytes]


class _Backlog:
    """The newest messages, each under a number that counts up from 0."""

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages, self._max_bytes = max_messages, max_bytes
        self._messages: deque[Frames] = deque()
        self._bytes = 0
        self.first = 0

    @property
    def end(self) -> int:
        return self.first + len(self._messages)

    def at(self, number: int) -> Frames:
        return self._messages[number - self.first]

    def full(self, message: Frames) -> bool:
        """Whether the oldest has to go before `message` has room."""
        room = self._max_bytes - self._bytes - sum(map(len, message))
        return bool(self._messages) and (len(self._messages) >= self._max_messages or room < 0)

    def append(self, message: Frames) -> None:
        self._messages.append(message)
        self._bytes += sum(map(len, message))

    def remove_oldest(self) -> None:
        self._bytes -= sum(map(len, self._messages.popleft()))
        self.first += 1


@dataclass(slots=True)
class _Subscriber:
    position: int
    spectrum_position: int
    prefixes: set[bytes] = field(default_factory=set)
    prefix_bytes: int = 0
    # The prefixes as `startswith` wants them, made when first needed after a change.
    wanted: tuple[bytes, ...] | None = ()
    spectra: tuple[bytes, ...] | None = ()

    def wants(self, topic: bytes) -> bool:
        if self.wanted is None:
            self.wanted = tuple(self.prefixes)
        return topic.startswith(self.wanted)

    def wants_spectrum(self, topic: bytes) -> bool:
        if self.spectra is None:
            self.spectra = tuple(prefix for prefix in self.prefixes if prefix.startswith(SPECTRUM_PREFIX))
        return topic.startswith(self.spectra)


class Broadcast:
    """The service behind `--bind`. `offer` and the properties are for the station's thread, the rest is the server's.

    high_water: messages that wait for the slowest subscriber. subscribed: is called with the prefix of each
    subscription. wake: tells the server that there is something new.
    """

    socket_type = b"XPUB"

    def __init__(self, high_water: int, subscribed: Callable[[bytes], None], wake: Callable[[], None]) -> None:
        self.dropped = 0
        self.subscriptions = 0
        self.spectrum_subscriptions = 0
        self._subscribed = subscribed
        self._wake = wake
        self._taken_at_once = max(1, high_water // 2)
        self._inbox: deque[Frames] = deque()
        self._spectrum_inbox: deque[Frames] = deque(maxlen=SPECTRA)
        self._backlog = _Backlog(high_water, BACKLOG_BYTES)
        self._spectra = _Backlog(SPECTRA, BACKLOG_BYTES)
        self._subscribers: dict[Peer, _Subscriber] = {}

    def offer(self, message: Frames) -> None:
        """Send `message` to its subscribers; counted as dropped where the server is far behind."""
        if len(self._inbox) >= INBOX:
            self.dropped += 1
            return
        self._inbox.append(message)
        self._wake()

    def offer_spectrum(self, message: Frames) -> None:
        """Send a spectrum to its subscribers; old ones give way."""
        self._spectrum_inbox.append(message)
        self._wake()

    def turn(self) -> None:
        """Take in what was offered, a part at a time, so that quick subscribers are sent it before it has to go."""
        for _ in range(min(len(self._inbox), self._taken_at_once)):
            message = self._inbox.popleft()
            while self._backlog.full(message):
                self._lose_oldest()
            self._backlog.append(message)
        if self._inbox:
            self._wake()
        while self._spectrum_inbox:
            message = self._spectrum_inbox.popleft()
            while self._spectra.full(message):
                self._spectra.remove_oldest()
            self._spectra.append(message)

    def ready(self, peer: Peer) -> None:
        """A peer has come; it is sent what is published from now on."""
        self._subscribers[peer] = _Subscriber(self._backlog.end, self._spectra.end)

    def received(self, peer: Peer, event: Event) -> None:
        """A subscription or its end; other messages of a subscriber are ignored."""
        if isinstance(event, Subscription):
            subscriber = self._subscribers[peer]
            if event.on:
                self._subscribe(subscriber, event.prefix)
            elif event.prefix in subscriber.prefixes:
                self._cancel(subscriber, event.prefix)

    def next_frames(self, peer: Peer) -> Sequence[bytes] | None:
        """The next message that the peer subscribed to."""
        subscriber = self._subscribers[peer]
        while subscriber.position < self._backlog.end:
            message = self._backlog.at(subscriber.position)
            subscriber.position += 1
            if subscriber.wants(message[0]):
                return message
        subscriber.spectrum_position = max(subscriber.spectrum_position, self._spectra.first)
        while subscriber.spectrum_position < self._spectra.end:
            message = self._spectra.at(subscriber.spectrum_position)
            subscriber.spectrum_position += 1
            if subscriber.wants_spectrum(message[0]):
                return message
        return None

    def closed(self, peer: Peer) -> None:
        """A peer and its subscriptions are gone."""
        subscriber = self._subscribers.pop(peer, None)
        if subscriber is not None:
            for prefix in list(subscriber.prefixes):
                self._cancel(subscriber, prefix)

    def _subscribe(self, subscriber: _Subscriber, prefix: bytes) -> None:
        if prefix in subscriber.prefixes:
            self._subscribed(prefix)
            return
        if (
            len(subscriber.prefixes) >= MAX_SUBSCRIPTIONS
            or subscriber.prefix_bytes + len(prefix) > MAX_SUBSCRIPTION_BYTES
        ):
            raise ProtocolError(
                f"more than {MAX_SUBSCRIPTIONS} subscriptions, or {MAX_SUBSCRIPTION_BYTES} bytes of them"
            )
        subscriber.prefixes.add(prefix)
        subscriber.prefix_bytes += len(prefix)
        self._changed(subscriber, prefix, 1)
        self._subscribed(prefix)

    def _cancel(self, subscriber: _Subscriber, prefix: bytes) -> None:
        subscriber.prefixes.remove(prefix)
        subscriber.prefix_bytes -= len(prefix)
        self._changed(subscriber, prefix, -1)

    def _changed(self, subscriber: _Subscriber, prefix: bytes, count: int) -> None:
        subscriber.wanted = subscriber.spectra = None
        self.subscriptions += count
        self.spectrum_subscriptions += count * prefix.startswith(SPECTRUM_PREFIX)

    def _lose_oldest(self) -> None:
        number = self._backlog.first
        topic = self._backlog.at(number)[0]
        for subscriber in self._subscribers.values():
            if subscriber.position == number:
                self.dropped += subscriber.wants(topic)
                subscriber.position += 1
        self._backlog.remove_oldest()
