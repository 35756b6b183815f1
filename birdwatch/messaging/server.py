"""The thread that serves peers over TCP and ipc, with limits on their total cost.

Peers are untrusted: any program that can connect. To protect the rest of the station, connections are limited,
descriptors are reserved, the input of each peer is limited (peer, zmtp), and so is the thread's processor time for
input. Connections beyond the limits are closed and counted. libzmq's sockets have no such limits: they keep every
subscription and all parts of a message, and abort the process when descriptors run out.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from birdwatch.messaging.admission import Shedding, SpareDescriptor, oldest_handshake, reason_to_refuse
from birdwatch.messaging.endpoint import peer_of, set_peer_options
from birdwatch.messaging.peer import GONE, Peer, Service
from birdwatch.messaging.zmtp import Connection, Mechanism, ProtocolError, Ready
from birdwatch.process import free_descriptors

__all__ = ["Server"]

log = logging.getLogger(__name__)

MAX_PEERS, MIN_PEERS = 512, 8
# Left to the rest of the process: sound, clips, message log, libraries.
RESERVED_DESCRIPTORS = 128
# The kernel's buffers count as this process's memory under systemd's MemoryMax; it doubles these figures.
RECEIVE_BUFFER_BYTES, SEND_BUFFER_BYTES = 16 * 1024, 64 * 1024

# The part of one core that input of peers may take: connections, handshakes, subscriptions, questions.
INPUT_SHARE = 0.25
ACCEPTS_A_TURN = 16

TICK_S = 1.0
# What peers that have been sent everything get to close their end.
LAST_S = 0.25


@dataclass(slots=True)
class _Listener:
    sock: socket.socket
    service: Service
    mechanism: Callable[[], Mechanism]
    max_peers: int


class Server:
    """`add` listening sockets with their services, then `start`; `wake` when a service has something new, `close`."""

    def __init__(self, *, max_peers: int = MAX_PEERS, clock: Callable[[], float] = time.monotonic) -> None:
        self._shedding = Shedding()
        self.fault: str | None = None
        """Why the thread has ended, if it was not closed."""
        self._max_peers = min(max_peers, max(MIN_PEERS, free_descriptors() - RESERVED_DESCRIPTORS))
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._listeners: list[_Listener] = []
        self._peers: dict[int, Peer] = {}
        self._spare = SpareDescriptor()
        self._wake_read, self._wake_write = socket.socketpair()
        for end in (self._wake_read, self._wake_write):
            end.setblocking(False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._calls: deque[Callable[[], None]] = deque()
        self._woken = False
        self._stop_at: float | None = None
        self._next_tick = 0.0
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)

    @property
    def shed(self) -> int:
        """Connections that were refused or closed because of a limit."""
        return self._shedding.count

    @property
    def shed_reason(self) -> str | None:
        """Why the last one was."""
        return self._shedding.reason

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return len(self._peers)

    def add(
        self, sock: socket.socket, service: Service, mechanism: Callable[[], Mechanism], *, max_peers: int = MAX_PEERS
    ) -> None:
        """Serve the peers that connect to the listening `sock`, each with a new mechanism; before `start`."""
        sock.setblocking(False)
        # Those that are accepted inherit these.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        listener = _Listener(sock, service, mechanism, min(max_peers, self._max_peers))
        self._listeners.append(listener)
        self._selector.register(sock, selectors.EVENT_READ, listener)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def call(self, function: Callable[[], None]) -> None:
        """Have the server's thread call `function` soon; from any thread."""
        self._calls.append(function)
        self.wake()

    def wake(self) -> None:
        """Something is to be taken in; from any thread, never waits."""
        if not self._woken:
            self._woken = True
            with contextlib.suppress(OSError):
                self._wake_write.send(b"\0")

    def close(self, linger_s: float, wait_s: float) -> bool:
        """Stop listening, give what waits `linger_s` to leave, and end; False where the thread did not in `wait_s`."""
        if self._thread.ident is not None:
            self.call(lambda: self._stop(linger_s))
            self._thread.join(linger_s + wait_s)
            if self._thread.is_alive():
                return False
        self._release()
        return True

    def _run(self) -> None:
        try:
            while not self._turn():
                pass
        except Exception as error:
            # Unexpected errors: that the thread ended must show in the station's status.
            self.fault = f"the server has ended: {type(error).__name__}: {error}"
            log.exception("the server has failed; no peer is served any more")
        finally:
            for peer in list(self._peers.values()):
                self._drop(peer)

    def _turn(self) -> bool:
        """Serve once; True when it is over."""
        events = self._selector.select(TICK_S if self._stop_at is None else 0.05)
        began = time.thread_time()
        now = self._clock()
        for key, mask in events:
            if isinstance(key.data, _Listener):
                self._accept(key.data, now)
            elif isinstance(key.data, Peer):
                if mask & selectors.EVENT_READ:
                    self._read(key.data, now)
            else:
                self._wake_read.recv(4096)
        spent_s = time.thread_time() - began
        self._woken = False
        while self._calls:
            self._calls.popleft()()
        for listener in self._listeners:
            listener.service.turn()
        for peer in list(self._peers.values()):
            self._write(peer, now)
        if now >= self._next_tick:
            self._next_tick = now + TICK_S / 4
            self._tick(now)
        if self._stop_at is not None:
            return self._stopped(now)
        # Peers that flood the station have to wait, which leaves the processor to the rest of it.
        if spent_s > 0.001:
            time.sleep(min(0.05, spent_s * (1 / INPUT_SHARE - 1)))
        return False

    def _accept(self, listener: _Listener, now: float) -> None:
        for _ in range(ACCEPTS_A_TURN):
            try:
                sock, address = listener.sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if self._spare.refuse(listener.sock, error):
                    self._shedding.add("no descriptor is left", now)
                # Other errors concern this connection only (ECONNABORTED ...).
                return
            try:
                sock.setblocking(False)
                name = peer_of(sock, address)
                reason = self._reason_to_refuse(listener, name)
                if reason is not None:
                    self._shedding.add(reason, now)
                    sock.close()
                    continue
                set_peer_options(sock)
            except OSError:
                sock.close()
                continue
            connection = Connection(listener.service.socket_type, listener.mechanism())
            peer = Peer(sock, connection, listener.service, name, now)
            self._peers[sock.fileno()] = peer
            self._watch(peer)

    def _reason_to_refuse(self, listener: _Listener, address: str) -> str | None:
        own = [peer for peer in self._peers.values() if peer.service is listener.service]
        most = len(own) if len(self._peers) >= self._max_peers else listener.max_peers
        reason = reason_to_refuse(own, address, most=most)
        if reason is None and (oldest := oldest_handshake(own, most=listener.max_peers)) is not None:
            self._shed(oldest, "too many are in their handshake")
        return reason

    def _read(self, peer: Peer, now: float) -> None:
        if peer.sock.fileno() < 0:
            return
        try:
            for event in peer.read(now):
                if isinstance(event, Ready):
                    peer.service.ready(peer)
                else:
                    peer.service.received(peer, event)
        except ProtocolError as error:
            self._shed(peer, str(error))
        except BlockingIOError:
            return
        except (OSError, EOFError):
            self._drop(peer)

    def _write(self, peer: Peer, now: float) -> None:
        try:
            peer.write(now)
        except OSError:
            self._drop(peer)
        else:
            self._watch(peer)

    def _watch(self, peer: Peer) -> None:
        """Wait for what the peer can do next."""
        # A peer whose answers to pings and handshake are not taken is not read from, either.
        events = 0 if peer.paused or len(peer.connection.output) > 4096 else selectors.EVENT_READ
        if peer.waiting:
            events |= selectors.EVENT_WRITE
        if events == peer.watched:
            return
        if not peer.watched:
            self._selector.register(peer.sock, events, peer)
        elif not events:
            self._selector.unregister(peer.sock)
        else:
            self._selector.modify(peer.sock, events, peer)
        peer.watched = events

    def _tick(self, now: float) -> None:
        self._spare.renew()
        for peer in list(self._peers.values()):
            reason = peer.overdue(now)
            if reason == GONE:
                self._drop(peer)
            elif reason is not None:
                self._shed(peer, reason)

    def _shed(self, peer: Peer, reason: str) -> None:
        self._shedding.add(reason, self._clock())
        self._drop(peer)

    def _drop(self, peer: Peer) -> None:
        number = peer.sock.fileno()
        if self._peers.get(number) is not peer:
            return
        del self._peers[number]
        if peer.watched:
            self._selector.unregister(peer.sock)
        peer.sock.close()
        peer.service.closed(peer)

    def _stopped(self, now: float) -> bool:
        """Whether all is sent and every peer has seen the end of it, or there is no more time."""
        for peer in list(self._peers.values()):
            if not peer.ready:
                self._drop(peer)
            elif not peer.waiting and not peer.ended:
                peer.ended = True
                # Not closed yet: with something unread in our buffer that would take back what is on its way.
                with contextlib.suppress(OSError):
                    peer.sock.shutdown(socket.SHUT_WR)
        if self._stop_at is not None and all(peer.ended for peer in self._peers.values()):
            self._stop_at = min(self._stop_at, now + LAST_S)
        return not self._peers or (self._stop_at is not None and now >= self._stop_at)

    def _stop(self, linger_s: float) -> None:
        self._stop_at = self._clock() + linger_s
        for listener in self._listeners:
            self._selector.unregister(listener.sock)
            listener.sock.close()

    def _release(self) -> None:
        for listener in self._listeners:
            listener.sock.close()
        self._selector.close()
        self._wake_read.close()
        self._wake_write.close()
        self._spare.close()
