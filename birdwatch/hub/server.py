"""uvicorn around the application: where it listens, who may connect without a password, and how often and how long."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from contextlib import suppress

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from birdwatch.errors import ConfigError, SinkError
from birdwatch.hub.app import make_app
from birdwatch.hub.hub import Hub
from birdwatch.hub.live import CONNECTIONS

__all__ = ["Connection", "check_open", "parse_address", "serve"]

BACKLOG = 256
STOP_S = 3
PER_ADDRESS = CONNECTIONS // 2
# A request is at most 200 kB.
REQUEST_S = 30.0


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of `127.0.0.1:8080` or `[::]:8080`. Raises ConfigError."""
    host, mark, port = text.rpartition(":")
    host = host.strip("[]")
    if not (mark and host and port.isascii() and port.isdigit() and int(port) < 65536):
        raise ConfigError(f"http is {text!r}, expected HOST:PORT, for example 127.0.0.1:8080", setting="http")
    return host, int(port)


def check_open(host: str, *, password_set: bool, public: bool) -> None:
    """Raise ConfigError where other machines could reach a hub that has no password."""
    with suppress(ValueError):
        if ipaddress.ip_address(host).is_loopback:
            return
    if host == "localhost" or password_set or public:
        return
    raise ConfigError(
        f"http {host} can be reached from other machines and there is no password; set one with "
        "`birdwatch hub password`, or allow everyone to view, but not to change anything, with --public",
        setting="http",
    )


def serve(hub: Hub, address: str, *, prefix: str = "", proxies: str = "127.0.0.1") -> None:
    """Serve until interrupted. Raises SinkError where the address cannot be had.

    prefix: the path under which a reverse proxy shows the hub. proxies: whose X-Forwarded headers count.
    """
    host, port = parse_address(address)
    check_open(host, password_set=hub.access.password_set, public=hub.settings.public)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise SinkError(f"{address} cannot be bound: {error.strerror or error}; choose another with --http") from error
    config = uvicorn.Config(
        make_app(hub),
        root_path=prefix.rstrip("/"),
        backlog=BACKLOG,
        limit_concurrency=CONNECTIONS,
        http=Connection,
        timeout_graceful_shutdown=STOP_S,
        log_level="warning",
        server_header=False,
        forwarded_allow_ips=proxies,
    )
    uvicorn.Server(config).run(sockets=[sock])


class Connection(H11Protocol):
    """A connection that is closed if no complete request arrives within `REQUEST_S` s of its first byte.

    uvicorn itself waits for ever. One address has at most half of all connections; a reverse proxy, which speaks for
    everybody, may have all of them, and has to bound its own clients.
    """

    deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Close what one address has too many of; else wait for a request."""
        super().connection_made(transport)
        if self.client is not None and not speaks_for_others(self.client[0], self.config.forwarded_allow_ips or ""):
            peers = [one.client[0] for one in self.connections if isinstance(one, Connection) and one.client]
            if peers.count(self.client[0]) > PER_ADDRESS:
                transport.close()
                return
        self.deadline = self.loop.call_later(REQUEST_S, self.close_unasked)

    def data_received(self, data: bytes) -> None:
        """Take part of a request, which is waited for from its first byte."""
        super().data_received(data)
        if not self.unasked():
            self.end_deadline()
        elif self.deadline is None:
            self.deadline = self.loop.call_later(REQUEST_S, self.close_unasked)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self.end_deadline()
        super().connection_lost(exc)

    def unasked(self) -> bool:
        """Whether a request, or the rest of one, has still to arrive."""
        cycle = self.cycle
        return cycle is None or cycle.response_complete or cycle.more_body

    def close_unasked(self) -> None:
        """The time for a request is over."""
        self.deadline = None
        if self.unasked():
            self.transport.close()

    def end_deadline(self) -> None:
        """Stop waiting for a request."""
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None


def speaks_for_others(address: str, proxies: str | list[str]) -> bool:
    """Whether an address is among the proxies: addresses and networks with commas between them, or `*` for all."""
    for proxy in proxies.split(",") if isinstance(proxies, str) else proxies:
        if proxy.strip() in ("*", address):
            return True
        with suppress(ValueError):
            if ipaddress.ip_address(address) in ipaddress.ip_network(proxy.strip(), strict=False):
                return True
    return False
