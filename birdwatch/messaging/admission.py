"""Which connections are accepted, the count of those that are not, and how one is refused without descriptors."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Sequence

from birdwatch.messaging.peer import Peer

__all__ = ["Shedding", "SpareDescriptor", "oldest_handshake", "reason_to_refuse"]

log = logging.getLogger(__name__)

# Of all connections: as many may be in their handshake, and this many may come from one address (or one user, over
# ipc).
HANDSHAKING_SHARE, ADDRESS_SHARE = 0.25, 0.75
WARNING_S = 60.0


class Shedding:
    """`count` of all connections that were refused or closed, `reason` of the last; at most one warning per minute."""

    def __init__(self) -> None:
        self.count = 0
        self.reason: str | None = None
        self._next_warning = 0.0

    def add(self, reason: str, now: float) -> None:
        """Count one. now: seconds, any origin."""
        self.count += 1
        self.reason = reason
        if now >= self._next_warning:
            self._next_warning = now + WARNING_S
            log.warning("a connection was closed: %s; %d since the start", reason, self.count)


class SpareDescriptor:
    """A descriptor kept open, so that a connection can be refused when no other is left."""

    def __init__(self) -> None:
        self._spare: int | None = os.open(os.devnull, os.O_RDONLY)

    def refuse(self, listening: socket.socket) -> None:
        """Take the next connection out of the queue, which would else stay ready, and close it."""
        self.close()
        with contextlib.suppress(OSError):
            listening.accept()[0].close()
        with contextlib.suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY)

    def close(self) -> None:
        """Close the descriptor."""
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None


def reason_to_refuse(peers: Sequence[Peer], address: str, *, most: int) -> str | None:
    """Why a service with these peers, of `most`, takes no other one from `address`; None where it does."""
    if len(peers) >= most:
        return f"{len(peers)} connections are open"
    if sum(peer.address == address for peer in peers) >= max(1, int(most * ADDRESS_SHARE)):
        return f"{address} holds most of the connections that there may be"
    return None


def oldest_handshake(peers: Sequence[Peer], *, most: int) -> Peer | None:
    """The peer to close where too many are in their handshake: the oldest has had its time."""
    handshaking = [peer for peer in peers if not peer.ready]
    return handshaking[0] if len(handshaking) >= max(1, int(most * HANDSHAKING_SHARE)) else None
