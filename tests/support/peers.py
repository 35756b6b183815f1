"""Peers that speak ZMTP by hand, as a hostile program would; loopback only."""

from __future__ import annotations

import socket
from types import TracebackType

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)


def command(body: bytes) -> bytes:
    return b"\x04" + bytes((len(body),)) + body


def long_frame(payload: bytes, flags: int = 0) -> bytes:
    return bytes((flags | 2,)) + len(payload).to_bytes(8, "big") + payload


def ready(socket_type: bytes) -> bytes:
    return command(b"\x05READY\x0bSocket-Type" + len(socket_type).to_bytes(4, "big") + socket_type)


def subscribe(prefix: bytes) -> bytes:
    return long_frame(b"\x09SUBSCRIBE" + prefix, 4)


class RawPeer:
    """A connection that sends what it is told; `closed` when the station has closed it."""

    def __init__(self, endpoint: str, *, timeout_s: float = 20.0) -> None:
        host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
        assert host == "127.0.0.1"
        self.sock = socket.create_connection((host, int(port)), timeout=timeout_s)

    def handshake(self, socket_type: bytes) -> RawPeer:
        self.send(GREETING + ready(socket_type))
        self.receive(64)
        head = self.receive(2)
        self.receive(head[1])
        return self

    def send(self, data: bytes) -> bool:
        """False where the station has closed the connection."""
        try:
            self.sock.sendall(data)
        except OSError:
            return False
        return True

    def receive(self, size: int) -> bytes:
        got = b""
        while len(got) < size:
            part = self.sock.recv(size - len(got))
            if not part:
                raise EOFError
            got += part
        return got

    def closed(self) -> bool:
        """Wait until the station closes the connection, or the time is over."""
        try:
            while self.sock.recv(65536):
                pass
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> RawPeer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
