"""Requests and replies of the replay endpoint as bytes. Pure: no socket, no file. docs/messages.md is the contract."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from birdwatch.messaging.clip_folder import ClipChunk
from birdwatch.messaging.message_pages import Entry, Page
from birdwatch.messaging.messages import SCHEMA

__all__ = [
    "ClipQuestion",
    "MessagesQuestion",
    "Question",
    "RefusedError",
    "chunk_of",
    "clip_frames",
    "error_frames",
    "page_frames",
    "page_of",
    "parse_question",
    "question_bytes",
    "without_damage",
]


class RefusedError(Exception):
    """The station answered with an error, which is the text."""


@dataclass(frozen=True, slots=True)
class MessagesQuestion:
    """What was published after message `since` of `boot_id` (None: the present one) under topics with `prefix`."""

    since: int
    boot_id: str | None
    prefix: str


@dataclass(frozen=True, slots=True)
class ClipQuestion:
    """The clip of an event, from byte `offset`."""

    event_id: str
    offset: int


Question = MessagesQuestion | ClipQuestion


def question_bytes(question: Question) -> bytes:
    """The frame that asks it."""
    if isinstance(question, ClipQuestion):
        return json.dumps({"clip": question.event_id, "offset": question.offset}).encode()
    return json.dumps({"since": question.since, "boot_id": question.boot_id, "topic": question.prefix}).encode()


def parse_question(frame: bytes) -> Question:
    """The request in a frame of an untrusted peer. Raises ValueError that says what was expected."""
    try:
        value = _object(frame)
    except ValueError as error:
        raise ValueError(f'{error}; expected a JSON object such as {{"since": 17}}') from None
    if "clip" in value:
        return ClipQuestion(_text("clip", value["clip"]), _count("offset", value.get("offset", 0)))
    boot_id = value.get("boot_id")
    return MessagesQuestion(
        _count("since", value.get("since", 0)),
        None if boot_id is None else _text("boot_id", boot_id),
        _text("topic", value.get("topic", "")),
    )


def _object(frame: bytes) -> dict[str, Any]:
    try:
        value = json.loads(frame)
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError(f"JSON {type(value).__name__}")
    return value


def _count(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise ValueError(f"{name} is {value!r}, expected a whole number from 0")
    return value


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} is {value!r}, expected text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} is {value!r}, expected text that UTF-8 can hold") from None
    return value


def without_damage(page: Page) -> Page:
    """The page without bodies that are no longer the message kept under their number: these count as missing."""
    kept = tuple(entry for entry in page.entries if _intact(entry))
    missing = None if page.missing is None else page.missing + len(page.entries) - len(kept)
    return replace(page, entries=kept, missing=missing)


def _intact(entry: Entry) -> bool:
    try:
        value = _object(entry.body)
    except ValueError:
        return False
    same = (value.get("boot_id"), value.get("seq")) == (entry.boot_id, entry.seq)
    return bool(same and entry.topic.startswith(f"{SCHEMA}/".encode()))


def page_frames(page: Page) -> list[bytes]:
    """The answer to a MessagesQuestion: a header, then topic and body of each message."""
    header = _header("replay", boot_id=page.boot_id, seq=page.seq, more=page.more, missing=page.missing)
    return [header, *(frame for entry in page.entries for frame in (entry.topic, entry.body))]


def clip_frames(chunk: ClipChunk) -> list[bytes]:
    """The answer to a ClipQuestion: a header, then the bytes."""
    header = _header(
        "clip",
        event_id=chunk.event_id,
        name=chunk.name,
        size=chunk.size,
        offset=chunk.offset,
        more=chunk.more,
    )
    return [header, chunk.content]


def error_frames(kind: str, text: str) -> list[bytes]:
    """The reply to an invalid request."""
    return [_header(kind, error=text)]


def _header(kind: str, **fields: Any) -> bytes:
    return json.dumps({"schema": SCHEMA, "kind": kind, **fields}).encode()


def page_of(frames: Sequence[bytes]) -> Page:
    """The page in an answer. Raises RefusedError for an error in it, ValueError for anything else than a page."""
    value = _fields(frames, "replay")
    if len(frames) % 2 == 0:
        raise ValueError("a message without a body")
    entries = []
    for topic, body in zip(frames[1::2], frames[2::2], strict=True):
        own = _object(body)
        entries.append(Entry(_text("boot_id", own.get("boot_id")), _count("seq", own.get("seq")), topic, body))
    boot_id, missing = value.get("boot_id"), value.get("missing")
    return Page(
        tuple(entries),
        None if boot_id is None else _text("boot_id", boot_id),
        _count("seq", value.get("seq")),
        bool(value.get("more")),
        None if missing is None else _count("missing", missing),
    )


def chunk_of(frames: Sequence[bytes]) -> ClipChunk:
    """The chunk in an answer. Raises RefusedError for an error in it, ValueError for anything else than a chunk."""
    value = _fields(frames, "clip")
    if len(frames) != 2:
        raise ValueError(f"{len(frames)} frames, expected 2")
    return ClipChunk(
        _text("event_id", value.get("event_id")),
        _text("name", value.get("name")),
        _count("size", value.get("size")),
        _count("offset", value.get("offset")),
        frames[1],
    )


def _fields(frames: Sequence[bytes], kind: str) -> dict[str, Any]:
    value = _object(frames[0])
    if "error" in value:
        raise RefusedError(str(value["error"]))
    if value.get("kind") != kind:
        # Versions before clips could be asked for ignore the word and answer with messages.
        raise ValueError(f"kind is {value.get('kind')!r}, expected {kind!r}")
    return value
