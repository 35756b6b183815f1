"""The server's end of one ZMTP 3 connection: bytes in, events and bytes out. Pure: no socket, no clock.

The protocol of ZeroMQ's TCP and ipc transports, https://rfc.zeromq.org/spec/37 (3.1; 3.0 peers work too): a greeting of
64 bytes each way, a handshake by the mechanism (NULL or CURVE), then messages of one or more frames, and commands. What
a peer may send is bounded here: anything longer is a ProtocolError, before it has been taken in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = [
    "MAX_FRAME_BYTES",
    "Connection",
    "Event",
    "Mechanism",
    "NullMechanism",
    "ProtocolError",
    "Ready",
    "Received",
    "Subscription",
    "frame",
]

# A subscription or a question is short; nothing longer is accepted, neither a frame nor the frames of a message
# together.
MAX_FRAME_BYTES = 4096
# An envelope is a frame or two for each broker on the way (ROUTER to DEALER); the question is one more.
MAX_PARTS = 16
# The largest command of a handshake is CURVE's INITIATE: 257 bytes and the peer's properties, of which the longest is a
# routing id of 255 bytes.
MAX_HANDSHAKE_BYTES = 2048
# What encryption adds to a frame: the command's name, nonce, authentication code and flags.
OVERHEAD_BYTES = 64

MORE, LONG, COMMAND = 1, 2, 4

GREETING_BYTES = 64
_SIGNATURE = b"\xff" + bytes(8) + b"\x7f"

# Who may connect to what (ZMTP's table of valid socket combinations).
_PEERS = {b"XPUB": {b"SUB", b"XSUB"}, b"ROUTER": {b"REQ", b"DEALER", b"ROUTER"}}


class ProtocolError(Exception):
    """Another protocol, or a limit was exceeded: the connection is to be closed. The text says why."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The handshake is done: the peer may be served."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """The peer subscribes to topics with `prefix`, or cancels that."""

    prefix: bytes
    on: bool


@dataclass(frozen=True, slots=True)
class Received:
    """A whole message from the peer, of one or more frames."""

    frames: tuple[bytes, ...]


Event = Ready | Subscription | Received


class Mechanism(Protocol):
    """The security of one connection."""

    name: bytes

    def begin(self, metadata: bytes) -> bytes | None:
        """The command to send once greetings are exchanged, if the server sends first; metadata: our properties."""

    def handshake(self, command: bytes) -> tuple[bytes | None, bytes | None]:
        """The reply to a command of the peer, if any, and the peer's properties once the handshake is done."""

    def encoded(self, flags: int, payload: bytes) -> bytes:
        """A frame for the wire."""

    def decoded(self, flags: int, body: bytes) -> tuple[int, bytes]:
        """Flags and payload of a frame from the wire. Raises ProtocolError."""


def frame(flags: int, payload: bytes) -> bytes:
    """A frame as it stands on the wire: flags, length, payload."""
    size = len(payload)
    if size < 256:
        return bytes((flags, size)) + payload
    return bytes((flags | LONG,)) + size.to_bytes(8) + payload


class NullMechanism:
    """No security: both ends send READY with their properties."""

    name = b"NULL"

    def begin(self, metadata: bytes) -> bytes | None:
        """READY."""
        return b"\x05READY" + metadata

    def handshake(self, command: bytes) -> tuple[bytes | None, bytes | None]:
        """The properties in the peer's READY."""
        if not command.startswith(b"\x05READY"):
            raise ProtocolError("the handshake is no READY")
        return None, command[6:]

    def encoded(self, flags: int, payload: bytes) -> bytes:
        """As it is."""
        return frame(flags, payload)

    def decoded(self, flags: int, body: bytes) -> tuple[int, bytes]:
        """As it is."""
        return flags, body


class Connection:
    """`receive` what came from the peer; send what gathers in `output`, and what `encode` makes of messages.

    socket_type: XPUB or ROUTER. One thread.
    """

    def __init__(self, socket_type: bytes, mechanism: Mechanism) -> None:
        self._socket_type = socket_type
        self._mechanism = mechanism
        self._input = bytearray()
        self._greeted = False
        self._parts: list[bytes] = []
        self._parts_bytes = 0
        self.ready = False
        self.minor = 0
        """Minor version of the peer's ZMTP 3; 3.1 brought heartbeats."""
        self.output = bytearray(_SIGNATURE + b"\x03\x01" + mechanism.name.ljust(20, b"\0") + b"\1" + bytes(31))

    def receive(self, data: bytes) -> Iterator[Event]:
        """What the peer's next bytes mean. Raises ProtocolError: the connection is then to be closed."""
        self._input += data
        if not self._greeted and not self._greeting():
            return
        while (taken := self._frame()) is not None:
            event = self._taken(*taken)
            if event is not None:
                yield event

    def encode(self, frames: Sequence[bytes]) -> bytes:
        """The frames of one message for the wire."""
        last = len(frames) - 1
        return b"".join(self._mechanism.encoded(MORE * (n < last), part) for n, part in enumerate(frames))

    def ping(self) -> None:
        """Send a heartbeat, if the peer's version supports it."""
        if self.ready and self.minor >= 1:
            self.output += self._mechanism.encoded(COMMAND, b"\x04PING\0\0")

    def _greeting(self) -> bool:
        got = self._input
        # Refused at the first wrong byte: a peer of another protocol is not waited for.
        if (
            bytes(got[:1]) not in (b"", b"\xff")
            or bytes(got[9:10]) not in (b"", b"\x7f")
            or (len(got) > 10 and got[10] < 3)
        ):
            raise ProtocolError("no ZMTP 3 greeting")
        if len(got) < GREETING_BYTES:
            return False
        mechanism = bytes(got[12:32]).rstrip(b"\0")
        if mechanism != self._mechanism.name:
            raise ProtocolError(f"mechanism {mechanism!r}, expected {self._mechanism.name!r}")
        # A later major version falls back to ZMTP 3.
        self.minor = got[11] if got[10] == 3 else 1
        del got[:GREETING_BYTES]
        self._greeted = True
        first = self._mechanism.begin(_properties(self._socket_type))
        if first is not None:
            self.output += frame(COMMAND, first)
        return True

    def _frame(self) -> tuple[int, bytes] | None:
        """Flags and body of the next frame, if it is whole."""
        got = self._input
        if not got:
            return None
        flags = got[0]
        if flags & ~(MORE | LONG | COMMAND):
            raise ProtocolError("reserved flags are set")
        header = 9 if flags & LONG else 2
        if len(got) < header:
            return None
        size = int.from_bytes(got[1:header])
        if size > (MAX_FRAME_BYTES + OVERHEAD_BYTES if self.ready else MAX_HANDSHAKE_BYTES):
            raise ProtocolError(f"a frame of {size} bytes")
        if len(got) < header + size:
            return None
        body = bytes(got[header : header + size])
        del got[: header + size]
        return flags, body

    def _taken(self, flags: int, body: bytes) -> Event | None:
        if not self.ready:
            return self._handshake(body)
        flags, payload = self._mechanism.decoded(flags, body)
        if flags & COMMAND:
            return self._command(payload)
        return self._part(flags, payload)

    def _handshake(self, command: bytes) -> Ready | None:
        reply, metadata = self._mechanism.handshake(command)
        if reply is not None:
            self.output += frame(COMMAND, reply)
        if metadata is None:
            return None
        peer = _socket_type(metadata)
        if peer not in _PEERS[self._socket_type]:
            raise ProtocolError(f"a {peer.decode('ascii', 'replace')} socket")
        self.ready = True
        return Ready()

    def _command(self, payload: bytes) -> Event | None:
        if payload.startswith(b"\x09SUBSCRIBE"):
            return Subscription(payload[10:], True)
        if payload.startswith(b"\x06CANCEL"):
            return Subscription(payload[7:], False)
        if payload.startswith(b"\x04PING"):
            # Behind the name two bytes of time to live, then up to 16 bytes that come back.
            self.output += self._mechanism.encoded(COMMAND, b"\x04PONG" + payload[7:23])
        return None

    def _part(self, flags: int, payload: bytes) -> Event | None:
        self._parts.append(payload)
        self._parts_bytes += len(payload)
        # The envelope's frames are short.
        if len(self._parts) > MAX_PARTS or self._parts_bytes > MAX_FRAME_BYTES + OVERHEAD_BYTES:
            raise ProtocolError(f"a message of over {MAX_PARTS} parts or {MAX_FRAME_BYTES} bytes")
        if flags & MORE:
            return None
        parts = tuple(self._parts)
        self._parts.clear()
        self._parts_bytes = 0
        if self._socket_type == b"XPUB" and len(parts) == 1 and payload[:1] in (b"\0", b"\1"):
            # How peers of version 3.0 subscribe.
            return Subscription(payload[1:], payload[0] == 1)
        return Received(parts)


def _properties(socket_type: bytes) -> bytes:
    return b"\x0bSocket-Type" + len(socket_type).to_bytes(4) + socket_type


def _socket_type(metadata: bytes) -> bytes:
    """The property Socket-Type; names are compared without regard to case."""
    at = 0
    while at < len(metadata):
        name_end = at + 1 + metadata[at]
        value_at = name_end + 4
        value_end = value_at + int.from_bytes(metadata[name_end:value_at])
        if value_end > len(metadata):
            break
        if metadata[at + 1 : name_end].lower() == b"socket-type":
            return metadata[value_at:value_end]
        at = value_end
    raise ProtocolError("the handshake names no socket type")
