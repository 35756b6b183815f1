"""What one client may take of the hub's connections: uvicorn itself waits for a request for ever.

A connection whose request does not arrive is closed, and one address has at most half of all connections. A reverse
proxy, which speaks for everybody, may have all of them, and has to bound its own clients.
"""

from __future__ import annotations

import asyncio
import ipaddress
from contextlib import suppress

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["CONNECTIONS", "Connection"]

# All together; browsers on the live page keep one each.
CONNECTIONS = 1000
PER_ADDRESS = CONNECTIONS // 2
# A request is at most 200 kB.
REQUEST_S = 30.0


class Connection(H11Protocol):
    """A connection that is closed where no whole request arrives within `REQUEST_S` s of its first byte."""

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
