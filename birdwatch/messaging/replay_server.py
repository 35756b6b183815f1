"""The station's side of replay: writes the message log, and answers requests for messages and clips.

A thread of its own owns the message log's file, so that neither a slow disk nor a subscriber that reads a week of
messages is in the way of publishing. The socket is the server's (server). docs/messages.md describes question and
answer.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from birdwatch.messaging.clip_folder import ClipFolder
from birdwatch.messaging.message_log import MessageLog
from birdwatch.messaging.message_pages import Entry, Page
from birdwatch.messaging.peer import Peer
from birdwatch.messaging.replay_protocol import (
    MessagesQuestion,
    clip_frames,
    error_frames,
    page_frames,
    parse_question,
    without_damage,
)
from birdwatch.messaging.server import Server
from birdwatch.messaging.zmtp import Event, Mechanism, ProtocolError, Received

__all__ = ["ReplayServer"]

log = logging.getLogger(__name__)

# Messages on their way to the message log: minutes of them, should the disk take that long.
MAX_WAITING, MAX_WAITING_BYTES = 10_000, 64_000_000
BATCH = 500

# Each may hold a page of the message log, or a chunk of a clip.
MAX_PEERS = 64
# A peer's questions behind the one that is being answered; nothing more is read from it until then.
MAX_QUESTIONS = 256

STOP_S = 3.0


class ReplayServer:
    """Keeps what is offered in a message log and answers from it; `offer` never waits, `close` at the end.

    clips: the folder whose clips may be asked for. Problems of the log's file are not errors, but counted and reported
    in `state`. To be used from one thread.
    """

    def __init__(self, server: Server, path: Path, *, max_bytes: int, clips: Path | None = None) -> None:
        self.endpoint: str | None = None
        self._server = server
        self._path, self._max_bytes = path, max_bytes
        self._clips = None if clips is None else ClipFolder(clips)
        self._journal: MessageLog | None = None
        self._lost = 0
        self._fault: str | None = None
        # In the order in which they came, so that an answer holds all that was published before its question.
        self._work: deque[Entry | tuple[Peer, Sequence[bytes]]] = deque()
        self._waiting = self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._service = _ReplayService(self._ask)
        self._thread = threading.Thread(target=self._run, name="message-log", daemon=True)
        self._thread.start()

    def listen(self, sock: socket.socket, endpoint: str, mechanism: Callable[[], Mechanism]) -> None:
        """Answer who asks at the listening `sock`."""
        self.endpoint = endpoint
        self._server.add(sock, self._service, mechanism, max_peers=MAX_PEERS)

    def state(self) -> dict[str, Any]:
        """For the status: messages `written` and `dropped` since the start, the present `fault`, a file `replaced`."""
        journal = self._journal
        dropped, fault = self._lost, self._fault
        if journal is not None:
            dropped, fault = dropped + journal.dropped, fault or journal.fault
        return {
            "written": 0 if journal is None else journal.written,
            "dropped": dropped,
            "fault": fault,
            "replaced": None if journal is None else journal.replaced,
        }

    def offer(self, entry: Entry) -> None:
        """Queue a message for the log; it is counted as dropped if the disk is too slow."""
        size = len(entry.body)
        with self._changed:
            if self._waiting >= MAX_WAITING or self._waiting_bytes + size > MAX_WAITING_BYTES or self._fault:
                self._lost += 1
                return
            self._waiting += 1
            self._waiting_bytes += size
            self._work.append(entry)
            self._changed.notify()

    def close(self) -> bool:
        """Write the queued messages and stop; False if the disk did not finish in time."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        journal = self._journal
        if journal is not None:
            journal.hurry()
        self._thread.join(STOP_S)
        if self._thread.is_alive():
            log.warning("the message log's disk does not answer; the last messages are lost to replay")
        return not self._thread.is_alive()

    def _ask(self, peer: Peer, frames: Sequence[bytes]) -> None:
        """Have a question answered; on the server's thread."""
        with self._changed:
            if self._fault is None and not self._stopping:
                self._work.append((peer, frames))
                self._changed.notify()
                return
        self._service.answer(peer, [*frames[:-1], *error_frames("replay", self._fault or "the station is stopping")])

    def _run(self) -> None:
        try:
            self._journal = MessageLog(self._path, max_bytes=self._max_bytes)
            self._serve(self._journal)
        except Exception as error:
            # Unexpected errors: that the thread ended must show in the station's status.
            log.exception("the message log has failed; publishing continues without replay")
            with self._changed:
                self._fault = f"the message log has ended: {type(error).__name__}: {error}"
                left, self._lost = list(self._work), self._lost + self._waiting
                self._work.clear()
            for item in left:
                if not isinstance(item, Entry):
                    self._send(item[0], [*item[1][:-1], *error_frames("replay", self._fault)])
        finally:
            if self._journal is not None:
                self._journal.close()

    def _serve(self, journal: MessageLog) -> None:
        newest: Entry | None = None
        while True:
            entries, question = self._taken()
            try:
                if entries:
                    journal.append(entries)
                    newest = entries[-1]
                    with self._changed:
                        self._waiting -= len(entries)
                        self._waiting_bytes -= sum(len(entry.body) for entry in entries)
                if question is not None:
                    peer, (*route, asked) = question
                    self._send(peer, [*route, *self._reply(asked, journal, newest)])
                elif not entries:
                    return
            except Exception:
                # It is answered with what went wrong, as those behind it are.
                if question is not None:
                    with self._changed:
                        self._work.appendleft(question)
                raise

    def _taken(self) -> tuple[list[Entry], tuple[Peer, Sequence[bytes]] | None]:
        """Messages up to the next question, and that; waits for either. Neither when it is over."""
        entries: list[Entry] = []
        with self._changed:
            while not self._work and not self._stopping:
                self._changed.wait()
            while self._work and len(entries) < BATCH:
                item = self._work.popleft()
                if not isinstance(item, Entry):
                    return entries, item
                entries.append(item)
        return entries, None

    def _send(self, peer: Peer, frames: Sequence[bytes]) -> None:
        self._server.call(lambda: self._service.answer(peer, frames))

    def _reply(self, question: bytes, journal: MessageLog, newest: Entry | None) -> list[bytes]:
        try:
            asked = parse_question(question)
        except ValueError as error:
            return error_frames("replay", str(error))
        if isinstance(asked, MessagesQuestion):
            page = without_damage(journal.read(asked.since, asked.boot_id, prefix=asked.prefix))
            return page_frames(_with_lost_end(page, newest))
        chunk = None if self._clips is None else self._clips.chunk(asked.event_id, asked.offset)
        if chunk is None:
            return error_frames("clip", f"there is no clip of event {asked.event_id!r}")
        return clip_frames(chunk)


@dataclass(slots=True)
class _Asker:
    waiting: deque[Sequence[bytes]] = field(default_factory=deque)
    answer: Sequence[bytes] | None = None
    # A question is with the message log, or its answer is being sent.
    busy: bool = False
    # ... and the answer was handed to the connection, which asks for more when it has left.
    sent: bool = False


class _ReplayService:
    """The service behind `--replay-bind`: one question of a peer at a time. All on the server's thread."""

    socket_type = b"ROUTER"

    def __init__(self, ask: Callable[[Peer, Sequence[bytes]], None]) -> None:
        self._ask = ask
        self._askers: dict[Peer, _Asker] = {}

    def turn(self) -> None:
        """Nothing is handed over but answers."""

    def ready(self, peer: Peer) -> None:
        """A peer may ask."""
        self._askers[peer] = _Asker()

    def received(self, peer: Peer, event: Event) -> None:
        """A question; those behind it wait."""
        if isinstance(event, Received):
            asker = self._askers[peer]
            if len(asker.waiting) >= MAX_QUESTIONS:
                raise ProtocolError(f"more than {MAX_QUESTIONS} questions at once")
            asker.waiting.append(event.frames)
            if not asker.busy:
                self._next_question(peer, asker)

    def answer(self, peer: Peer, frames: Sequence[bytes]) -> None:
        """What the message log answers to a peer's question."""
        if peer in self._askers:
            self._askers[peer].answer = frames

    def next_frames(self, peer: Peer) -> Sequence[bytes] | None:
        """The answer; called again when it has left, and then the next question is taken up."""
        asker = self._askers[peer]
        if asker.busy and asker.sent:
            self._next_question(peer, asker)
        answer, asker.answer = asker.answer, None
        asker.sent = answer is not None
        return answer

    def closed(self, peer: Peer) -> None:
        """A peer is gone, its answer too."""
        self._askers.pop(peer, None)

    def _next_question(self, peer: Peer, asker: _Asker) -> None:
        asker.sent = False
        asker.busy = peer.paused = bool(asker.waiting)
        if asker.waiting:
            self._ask(peer, asker.waiting.popleft())


def _with_lost_end(page: Page, newest: Entry | None) -> Page:
    """The page with what could not be kept behind its end counted as missing too."""
    if page.more or newest is None or page.boot_id != newest.boot_id or page.seq >= newest.seq:
        return page
    missing = None if page.missing is None else page.missing + newest.seq - page.seq
    return replace(page, seq=newest.seq, missing=missing)
