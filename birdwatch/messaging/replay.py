"""The subscriber's side of replay: requests missed messages and clips from a station."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zmq

from birdwatch.errors import SinkError
from birdwatch.messaging.clip_folder import ClipChunk
from birdwatch.messaging.curve import use_client_keys
from birdwatch.messaging.message_pages import Page
from birdwatch.messaging.replay_protocol import (
    ClipQuestion,
    MessagesQuestion,
    Question,
    RefusedError,
    chunk_of,
    page_of,
    question_bytes,
)

__all__ = ["ask", "ask_clip"]

# A page has 500 messages at most, a chunk of a clip 256 kB: a peer that sends more is not a station.
MAX_ANSWER_BYTES = 16_000_000


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

    prefix: of the topics wanted. keys: a subscriber's folder of keys. Raises SinkError without an answer.
    """
    with _connected(endpoint, keys, timeout_s) as sock:
        more = True
        while more:
            frames = _answer(sock, endpoint, MessagesQuestion(since, boot_id, prefix), timeout_s)
            try:
                page = page_of(frames)
            except RefusedError as error:
                raise SinkError(f"{endpoint} refused the request: {error}") from None
            except ValueError as error:
                raise SinkError(
                    f"{endpoint} answered with something else than messages ({error}); is it a --replay-bind?"
                ) from error
            yield page
            more, since, boot_id = page.more, page.seq, page.boot_id


def ask_clip(endpoint: str, event_id: str, *, keys: Path | None = None, timeout_s: float = 10.0) -> Iterator[ClipChunk]:
    """The clip of an event of the station at `endpoint`, in chunks, in their order.

    Raises SinkError without an answer, or where the station has no such clip (any more) or is too old for clips.
    """
    with _connected(endpoint, keys, timeout_s) as sock:
        offset, more = 0, True
        while more:
            frames = _answer(sock, endpoint, ClipQuestion(event_id, offset), timeout_s)
            try:
                chunk = chunk_of(frames)
                if (chunk.event_id, chunk.offset) != (event_id, offset) or (chunk.more and not chunk.content):
                    raise ValueError("another part of it than was asked for")
            except RefusedError as error:
                raise SinkError(f"{endpoint}: {error}") from None
            except ValueError as error:
                raise SinkError(
                    f"{endpoint} did not answer with the clip of event {event_id!r} ({error}); is the station of a "
                    "version that serves clips?"
                ) from error
            yield chunk
            more, offset = chunk.more, chunk.offset + len(chunk.content)


@contextmanager
def _connected(endpoint: str, keys: Path | None, timeout_s: float) -> Iterator[zmq.Socket[bytes]]:
    with zmq.Context() as context, context.socket(zmq.REQ) as sock:
        sock.linger = 0
        sock.rcvtimeo = int(timeout_s * 1000)
        sock.maxmsgsize = MAX_ANSWER_BYTES
        sock.ipv6 = endpoint.startswith("tcp://[")
        if keys is not None:
            use_client_keys(sock, keys)
        try:
            sock.connect(endpoint)
        except zmq.ZMQError as error:
            raise SinkError(f"{endpoint} is no endpoint: {error.strerror}; expected tcp://HOST:PORT") from error
        yield sock


def _answer(sock: zmq.Socket[bytes], endpoint: str, question: Question, timeout_s: float) -> list[bytes]:
    try:
        sock.send(question_bytes(question))
        frames: list[bytes] = sock.recv_multipart()
    except zmq.Again:
        raise SinkError(
            f"{endpoint} did not answer in {timeout_s:g} s; is the station running, is this its --replay-bind "
            "and, if it has keys, does it accept yours?"
        ) from None
    return frames
