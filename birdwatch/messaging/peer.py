"""One connection of the station's server: its socket, its input limits, and its queued output."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from typing import Protocol

from birdwatch.messaging.zmtp import Connection, Event, ProtocolError

__all__ = ["GONE", "Peer", "Service"]

# The reason to close a connection that is no fault of the peer's.
GONE = "no sign of life"

READ_BYTES = 4096
# Sent at once to one peer before the others have their turn.
WRITE_BYTES = 65536

# What a peer may send: as much at once as the largest allowed set of subscriptions needs, then this much a second. Each
# call of `recv` costs a little as well, so that a trickle of single bytes is not free.
INPUT_BURST_BYTES = 256 * 1024
INPUT_BYTES_PER_S = 8 * 1024
READ_COST_BYTES = 64

HANDSHAKE_S = 5.0
# A silent peer gets a heartbeat, and is closed if it does not answer; so is one that reads none of its queued messages.
HEARTBEAT_S = 10.0
TIMEOUT_S = 30.0


class Service(Protocol):
    """What a listening socket is for: publishing or replay. All of it runs on the server's thread."""

    socket_type: bytes

    def turn(self) -> None:
        """Take in what other threads handed over."""

    def ready(self, peer: Peer) -> None:
        """A peer has finished its handshake."""

    def received(self, peer: Peer, event: Event) -> None:
        """A peer sent something. Raises ProtocolError where it must not."""

    def next_frames(self, peer: Peer) -> Sequence[bytes] | None:
        """What to send to a peer next, one message; None for nothing."""

    def closed(self, peer: Peer) -> None:
        """A peer is gone."""


class Peer:
    """A connection in the server's hands. address: who it is counted under. now: monotonic seconds."""

    def __init__(self, sock: socket.socket, connection: Connection, service: Service, address: str, now: float) -> None:
        self.sock = sock
        self.connection = connection
        self.service = service
        self.address = address
        self.since = now
        self.paused = False
        """While a question of the peer is being answered, nothing more is read from it."""
        self.ended = False
        """The station is closing down and has sent the peer all that there was."""
        self.watched = 0
        """The events that the server's selector waits for."""
        self._last_received = self._progress = self._filled = now
        self._pinged = False
        self._allowance = float(INPUT_BURST_BYTES)
        self._output = bytearray()
        self._unfinished = False

    @property
    def ready(self) -> bool:
        """Whether the handshake is done."""
        return self.connection.ready

    @property
    def waiting(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._unfinished or self._output or self.connection.output)

    def read(self, now: float) -> Iterator[Event]:
        """What the peer sent. Raises ProtocolError beyond its limits, EOFError where it has gone, OSError."""
        data = self.sock.recv(READ_BYTES)
        if not data:
            raise EOFError
        self._last_received, self._pinged = now, False
        self._allowance += (now - self._filled) * INPUT_BYTES_PER_S
        self._allowance = min(self._allowance, INPUT_BURST_BYTES) - len(data) - READ_COST_BYTES
        self._filled = now
        if self._allowance < 0:
            raise ProtocolError(f"more than {INPUT_BURST_BYTES} bytes, then {INPUT_BYTES_PER_S} a second")
        return self.connection.receive(data)

    def write(self, now: float) -> None:
        """Send what there is, as far as the socket takes it; `waiting` says whether that was all. Raises OSError."""
        self._unfinished = not self.ended and not self._written(now)

    def _written(self, now: float) -> bool:
        sent = 0
        while sent < WRITE_BYTES:
            if not self._output:
                self._output += self.connection.output
                self.connection.output.clear()
                if not self._output:
                    frames = self.service.next_frames(self) if self.ready else None
                    if frames is None:
                        return True
                    self._output += self.connection.encode(frames)
                self._progress = now
            try:
                taken = self.sock.send(self._output)
            except BlockingIOError:
                return False
            sent += taken
            del self._output[:taken]
            self._progress = now
        return False

    def overdue(self, now: float) -> str | None:
        """Why the peer is to be closed for silence, or None; asks for a sign of life where there is time left."""
        if not self.ready:
            return "no handshake" if now - self.since > HANDSHAKE_S else None
        if self.waiting and now - self._progress > TIMEOUT_S:
            return "it does not read"
        quiet_s = now - self._last_received
        if self.connection.minor >= 1 and not self.paused:
            if quiet_s > TIMEOUT_S and self._pinged:
                return GONE
            if quiet_s > HEARTBEAT_S and not self._pinged:
                self._pinged = True
                self.connection.ping()
        return None
