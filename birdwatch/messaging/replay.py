"""Replay: what a subscriber missed, asked for over a socket and answered from the journal. Both ends of it.

A thread of its own owns the journal's file and the ROUTER socket, so that neither a slow disk nor somebody who reads
a week of messages is in the way of publishing. docs/messages.md describes question and answer.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import zmq

from birdwatch.errors import SinkError
from birdwatch.messaging.curve import Gatekeeper, use_client_keys
from birdwatch.messaging.endpoint import bind, bound_peers
from birdwatch.messaging.message_log import Entry, Journal, Page
from birdwatch.messaging.messages import SCHEMA

__all__ = ["ReplayServer", "ask"]

log = logging.getLogger(__name__)

# Messages on their way to the journal: minutes of them, should the disk take that long.
QUEUE = 10_000
BATCH = 500

# Answers waiting for one who asks and does not read; each is up to a page of the journal.
ANSWERS = 4

STOP_S = 3.0


class ReplayServer:
    """Keeps what is offered in a journal and answers from it; `offer` never waits, `close` at the end.

    endpoint: where to be asked, None for nowhere. Raises as `bind` does; whatever is the matter with the journal's
    file is no error, but counted: `written`, `dropped` and `fault`. To be used from one thread.
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
    ) -> None:
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
        try:
            since, boot_id, prefix = _asked(question)
            reply = _told(_with_lost_end(journal.read(since, boot_id, prefix=prefix), newest))
        except (ValueError, RecursionError) as error:  # not JSON, not text, nested without end
            header = {"schema": SCHEMA, "kind": "replay", "error": str(error)}
            reply = [json.dumps(header).encode()]
        try:
            self._router.send_multipart([*route, *reply], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            log.debug("nobody is left to be answered: %s", error)


def ask(
    endpoint: str,
    since: int,
    boot_id: str | None = None,
    *,
    prefix: str = "",
    keys: Path | None = None,
    timeout_s: float = 10.0,
) -> Iterator[Page]:
    """Pages of all that a station at `endpoint` sent after message `since` of `boot_id` (None: since its start).

    prefix: of the topics wanted. keys: a subscriber's folder of keys. Raises SinkError where nobody answers.
    """
    with zmq.Context() as context, context.socket(zmq.REQ) as sock:
        sock.linger = 0
        sock.rcvtimeo = int(timeout_s * 1000)
        if keys is not None:
            use_client_keys(sock, keys)
        try:
            sock.connect(endpoint)
        except zmq.ZMQError as error:
            raise SinkError(f"{endpoint} is no endpoint: {error.strerror}; expected tcp://HOST:PORT") from error
        more = True
        while more:
            question = {"since": since, "boot_id": boot_id, "topic": prefix}
            try:
                sock.send(json.dumps(question).encode())
                header, *frames = sock.recv_multipart()
            except zmq.Again:
                raise SinkError(
                    f"{endpoint} did not answer in {timeout_s:g} s; is the station running, is this its --replay-bind "
                    "and, if it has keys, are yours let in?"
                ) from None
            page = _heard(endpoint, header, frames)
            yield page
            more, since, boot_id = page.more, page.seq, page.boot_id


def _asked(question: bytes) -> tuple[int, str | None, str]:
    """A question's `since`, `boot_id` and `topic`; raises ValueError that says what it should have been."""
    value = json.loads(question)
    if not isinstance(value, dict):
        raise ValueError('expected a JSON object such as {"since": 17}')
    since, boot_id, prefix = value.get("since", 0), value.get("boot_id"), value.get("topic", "")
    if not isinstance(since, int) or isinstance(since, bool) or not 0 <= since < 2**63:
        raise ValueError(f"since is {since!r}, expected a message's seq, or 0 for all")
    if not isinstance(boot_id, str | None) or not isinstance(prefix, str):
        raise ValueError("boot_id and topic are text")
    return since, boot_id, prefix


def _told(page: Page) -> list[bytes]:
    header = {
        "schema": SCHEMA,
        "kind": "replay",
        "boot_id": page.boot_id,
        "seq": page.seq,
        "more": page.more,
        "missing": page.missing,
    }
    return [json.dumps(header).encode(), *(frame for e in page.entries for frame in (e.topic, e.body))]


def _heard(endpoint: str, header: bytes, frames: list[bytes]) -> Page:
    try:
        value = json.loads(header)
        if "error" in value:
            raise SinkError(f"{endpoint} refused the question: {value['error']}")
        entries = []
        for topic, body in zip(frames[::2], frames[1::2], strict=True):
            own = json.loads(body)
            entries.append(Entry(own["boot_id"], own["seq"], topic, body))
        return Page(tuple(entries), value["boot_id"], value["seq"], value["more"], value["missing"])
    except (ValueError, KeyError, TypeError) as error:
        raise SinkError(f"{endpoint} answered with something else than messages; is it a --replay-bind?") from error


def _with_lost_end(page: Page, newest: Entry | None) -> Page:
    """The page with what could not be kept behind its end counted as missing too."""
    if page.more or newest is None or page.boot_id != newest.boot_id or page.seq >= newest.seq:
        return page
    missing = None if page.missing is None else page.missing + newest.seq - page.seq
    return replace(page, seq=newest.seq, missing=missing)
