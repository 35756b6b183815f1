"""The station's side of replay: keeps what was published, and answers questions for it and for clips.

A thread of its own owns the journal's file and the ROUTER socket, so that neither a slow disk nor somebody who reads
a week of messages is in the way of publishing. docs/messages.md describes question and answer.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import zmq

from birdwatch.messaging.clip_folder import ClipFolder
from birdwatch.messaging.curve import Gatekeeper
from birdwatch.messaging.endpoint import bind, bound_peers
from birdwatch.messaging.message_log import Entry, Journal, Page
from birdwatch.messaging.replay_protocol import (
    MessagesQuestion,
    clip_frames,
    error_frames,
    page_frames,
    parse_question,
)

__all__ = ["ReplayServer"]

log = logging.getLogger(__name__)

# Messages on their way to the journal: minutes of them, should the disk take that long.
QUEUE = 10_000
BATCH = 500

# Answers waiting for one who asks and does not read; each is up to a page of the journal.
ANSWERS = 4

STOP_S = 3.0


class ReplayServer:
    """Keeps what is offered in a journal and answers from it; `offer` never waits, `close` at the end.

    endpoint: where to be asked, None for nowhere. clips: the folder whose clips may be asked for. Raises as `bind`
    does; whatever is the matter with the journal's file is no error, but counted: `written`, `dropped` and `fault`. To
    be used from one thread.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        path: Path,
        *,
        max_bytes: int,
        endpoint: str | None,
        gatekeeper: Gatekeeper | None = None,
        insecure: bool = False,
        clips: Path | None = None,
    ) -> None:
        self._clips = None if clips is None else ClipFolder(clips)
        self._path, self._max_bytes = path, max_bytes
        self._journal: Journal | None = None
        self._lost = 0
        # Handed over since the start; written by the one thread that offers.
        self._offered = 0
        self.endpoint: str | None = None
        name = f"inproc://journal-{id(self)}"
        self._pull, self._push = context.socket(zmq.PULL), context.socket(zmq.PUSH)
        self._router: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
        try:
            self._pull.rcvhwm = self._push.sndhwm = QUEUE // 2
            self._pull.bind(name)
            self._push.connect(name)
            self._push.linger = 0
            self._push.sndtimeo = int(STOP_S * 1000)
            self._router.sndhwm = ANSWERS
            self._router.linger = 0
            bound_peers(self._router)
            if gatekeeper is not None:
                gatekeeper.guard(self._router)
            if endpoint is not None:
                secured = gatekeeper is not None or insecure
                self.endpoint = bind(self._router, endpoint, option="--replay-bind", secured=secured)
        except BaseException:
            for sock in (self._pull, self._push, self._router):
                sock.close()
            raise
        # From here on the thread has the sockets; a daemon, so that a disk that never answers cannot hold the exit up.
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    @property
    def written(self) -> int:
        """Messages that are in the journal since the start."""
        return self._journal.written if self._journal is not None else 0

    @property
    def dropped(self) -> int:
        """Messages since the start that could not be kept."""
        return self._lost + (self._journal.dropped if self._journal is not None else 0)

    @property
    def fault(self) -> str | None:
        """Why the last attempt to keep something failed, or None."""
        if not self._thread.is_alive():
            return "the journal has ended"
        return self._journal.fault if self._journal is not None else None

    def offer(self, entry: Entry) -> None:
        """Hand a message over to be kept; counted as dropped where the disk is far behind."""
        try:
            self._push.send_multipart(
                (entry.boot_id.encode(), str(entry.seq).encode(), entry.topic, entry.body), zmq.NOBLOCK
            )
            self._offered += 1
        except zmq.Again:
            self._lost += 1

    def close(self) -> bool:
        """Write down what is on its way and stop; False where the disk would not let it end in time."""
        if not self._push.closed:
            try:
                self._push.send(b"")
            except zmq.Again:
                log.warning("the journal's disk does not answer; the last messages are lost to replay")
            self._push.close()
        self._thread.join(STOP_S)
        return not self._thread.is_alive()

    def _run(self) -> None:
        journal = self._journal = Journal(self._path, max_bytes=self._max_bytes)
        poller = zmq.Poller()
        poller.register(self._pull, zmq.POLLIN)
        poller.register(self._router, zmq.POLLIN)
        newest: Entry | None = None
        taken = 0
        try:
            running = True
            while running:
                poller.poll()
                # First the question, then all that was on its way when it came: whoever heard of a message before
                # asking can have it and those before it, also where it was sent while the disk was busy with an
                # earlier one. What comes after the question waits, or somebody who publishes fast would be all that
                # is ever listened to.
                question = self._question()
                until = self._offered
                while running:
                    entries, running = self._taken()
                    journal.append(entries)
                    newest = entries[-1] if entries else newest
                    taken += len(entries)
                    if taken >= until:
                        break
                if question:
                    self._answer(question, journal, newest)
        finally:
            journal.close()
            self._pull.close()
            self._router.close()

    def _taken(self) -> tuple[list[Entry], bool]:
        """What is on its way, and whether to go on after it."""
        entries: list[Entry] = []
        while len(entries) < BATCH:
            try:
                parts = self._pull.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return entries, True
            if len(parts) == 1:
                return entries, False
            boot_id, seq, topic, body = parts
            entries.append(Entry(boot_id.decode(), int(seq), topic, body))
        return entries, True

    def _question(self) -> list[bytes]:
        """One question with its route, if there is one: the next one waits for the journal to be up to date again."""
        try:
            return self._router.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return []

    def _answer(self, asked: list[bytes], journal: Journal, newest: Entry | None) -> None:
        *route, question = asked
        reply = self._reply(question, journal, newest)
        try:
            self._router.send_multipart([*route, *reply], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            log.debug("nobody is left to be answered: %s", error)

    def _reply(self, question: bytes, journal: Journal, newest: Entry | None) -> list[bytes]:
        try:
            asked = parse_question(question)
        except ValueError as error:
            return error_frames("replay", str(error))
        if isinstance(asked, MessagesQuestion):
            page = journal.read(asked.since, asked.boot_id, prefix=asked.prefix)
            return page_frames(_with_lost_end(page, newest))
        chunk = None if self._clips is None else self._clips.chunk(asked.event_id, asked.offset)
        if chunk is None:
            return error_frames("clip", f"there is no clip of event {asked.event_id!r}")
        return clip_frames(chunk)


def _with_lost_end(page: Page, newest: Entry | None) -> Page:
    """The page with what could not be kept behind its end counted as missing too."""
    if page.more or newest is None or page.boot_id != newest.boot_id or page.seq >= newest.seq:
        return page
    missing = None if page.missing is None else page.missing + newest.seq - page.seq
    return replace(page, seq=newest.seq, missing=missing)
