"""Which connections are accepted, the count of refused ones, and how to refuse one without a free descriptor."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import time
from collections.abc import Sequence

from birdwatch.messaging.peer import Peer
from birdwatch.wording import counted, verb

__all__ = ["Shedding", "SpareDescriptor", "oldest_handshake", "reason_to_refuse"]

log = logging.getLogger(__name__)

# Of all connections: as many may be in their handshake, and this many may come from one address (or one user, over
# ipc).
HANDSHAKING_SHARE, ADDRESS_SHARE = 0.25, 0.75
WARNING_S = 60.0
OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
# Between two tries to refuse a connection while not even the spare descriptor is there.
RETRY_S = 0.05


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
        self._null = os.open(os.devnull, os.O_RDONLY)
        self._spare: int | None = None
        self.renew()

    def renew(self) -> None:
        """Open the spare one where it is missing and a descriptor is free."""
        if self._spare is None:
            with contextlib.suppress(OSError):
                self._spare = os.dup(self._null)

    def refuse(self, listening: socket.socket, error: OSError) -> bool:
        """Close the next connection, which would else stay ready, where `accept` failed for want of descriptors.

        False where it failed for another reason, or no connection was there.
        """
        if error.errno not in OUT_OF_DESCRIPTORS:
            return False
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None
        try:
            taken, _ = listening.accept()
        except OSError as again:
            if again.errno in OUT_OF_DESCRIPTORS:
                # Another thread took the descriptor: nothing can be refused until one is free, and the loop must not
                # spin.
                time.sleep(RETRY_S)
            # Otherwise the queue is empty: the system looks for a descriptor before it looks at the queue.
            self.renew()
            return False
        # One step closes the connection and keeps its number: between two, another thread would take it.
        self._spare = taken.detach()
        os.dup2(self._null, self._spare, inheritable=False)
        return True

    def close(self) -> None:
        """Close what is kept open."""
        for number in (self._spare, self._null):
            if number is not None:
                os.close(number)
        self._spare = None


def reason_to_refuse(peers: Sequence[Peer], address: str, *, most: int) -> str | None:
    """Why a service with these peers, of `most`, takes no other one from `address`; None where it does."""
    if len(peers) >= most:
        return f"{counted(len(peers), 'connection')} {verb(len(peers), 'is', 'are')} open"
    if sum(peer.address == address for peer in peers) >= max(1, int(most * ADDRESS_SHARE)):
        return f"{address} has as many connections as one address may have"
    return None


def oldest_handshake(peers: Sequence[Peer], *, most: int) -> Peer | None:
    """The peer to close where too many are in their handshake: the oldest has had its time."""
    handshaking = [peer for peer in peers if not peer.ready]
    return handshaking[0] if len(handshaking) >= max(1, int(most * HANDSHAKING_SHARE)) else None
