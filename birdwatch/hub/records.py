"""A message from a station, which is not trusted, as checked values. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from birdwatch.messaging.messages import SCHEMA

__all__ = ["Body", "Detection", "Event", "Gap", "Record", "Recording", "Status", "UnreadableError", "parse"]

# The scores of 6522 species are 130 kB.
MAX_BYTES = 1_000_000
MAX_TEXT = 200
MAX_STATUS_BYTES = 20_000
MAX_SEQ = 2**53
# Nothing was recorded by birdwatch before this, and no clock is further ahead than this.
EARLIEST_MS = 946_684_800_000
AHEAD_MS = 2 * 86_400_000
# Longer events are refused.
LONGEST_MS = 86_400_000


class UnreadableError(ValueError):
    """The body is not a valid message; the text says why."""


@dataclass(frozen=True, slots=True)
class Detection:
    """One class in one window; times in ms since 1970."""

    code: str
    name: str
    scientific: str
    start_ms: int
    end_ms: int
    score: float
    uid: str | None


@dataclass(frozen=True, slots=True)
class Event:
    """Consecutive detections of one class. clip: whether the station saved its audio."""

    code: str
    name: str
    scientific: str
    start_ms: int
    end_ms: int
    score: float
    uid: str
    clip: bool


@dataclass(frozen=True, slots=True)
class Gap:
    """Audio that was lost."""

    start_ms: int
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Recording:
    """A file or a minute of a stream. present: the codes at or over their thresholds."""

    start_ms: int
    end_ms: int
    windows: int
    present: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """How a station is. listened_s: seconds of audio analysed or skipped as silent since its start."""

    state: str
    listened_s: float
    latency_p95_ms: float | None
    level_dbfs: float | None
    text: str


Body = Detection | Event | Gap | Recording | Status


@dataclass(frozen=True, slots=True)
class Record:
    """One numbered message. body: None where its fields are not as they should be, or of a kind not known here."""

    station: str
    boot_id: str
    seq: int
    kind: str
    sent_ms: int
    version: str
    body: Body | None
    fault: str | None = None


def parse(body: bytes, *, now_ms: int) -> Record:
    """The message in a body. Raises UnreadableError where not even its number can be read."""
    if len(body) > MAX_BYTES:
        raise UnreadableError(f"{len(body)} bytes, expected {MAX_BYTES} at most")
    try:
        value = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"no JSON: {error}") from None
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        raise UnreadableError(f"expected an object with the schema {SCHEMA}")
    read = _Reader(value, now_ms)
    station, boot_id, kind = read.text("station"), read.text("boot_id"), read.text("kind")
    seq = read.whole("seq", 1, MAX_SEQ)
    fault: str | None = None
    content: Body | None = None
    sent_ms = now_ms
    version = ""
    try:
        sent_ms, version = read.time("sent"), read.text("version")
        if kind in _KINDS:
            content = _KINDS[kind](read)
    except UnreadableError as error:
        fault = str(error)
    return Record(station, boot_id, seq, kind, sent_ms, version, content, fault)


class _Reader:
    """Fields of an untrusted object, checked one by one."""

    def __init__(self, value: dict[str, Any], now_ms: int) -> None:
        self._value = value
        self._now_ms = now_ms

    def sub(self, name: str) -> _Reader:
        found = self._value.get(name)
        if not isinstance(found, dict):
            raise UnreadableError(f"{name} is {found!r:.80}, expected an object")
        return _Reader(found, self._now_ms)

    def text(self, name: str, *, empty: bool = False) -> str:
        found = self._value.get(name)
        if not isinstance(found, str) or len(found) > MAX_TEXT or not (found or empty):
            raise UnreadableError(f"{name} is {found!r:.80}, expected text of {MAX_TEXT} characters at most")
        if "\0" in found or any(0xD800 <= ord(letter) < 0xE000 for letter in found):
            raise UnreadableError(f"{name} is {found!r:.80}, expected text that a database can hold")
        return found

    def optional(self, name: str) -> str | None:
        return None if self._value.get(name) is None else self.text(name)

    def whole(self, name: str, low: int, high: int) -> int:
        found = self._value.get(name)
        if not isinstance(found, int) or isinstance(found, bool) or not low <= found <= high:
            raise UnreadableError(f"{name} is {found!r:.80}, expected a whole number of {low} to {high}")
        return found

    def number(self, name: str, low: float, high: float) -> float:
        found = self._value.get(name)
        if not isinstance(found, int | float) or isinstance(found, bool) or not low <= found <= high:
            raise UnreadableError(f"{name} is {found!r:.80}, expected a number of {low:g} to {high:g}")
        return float(found)

    def time(self, name: str) -> int:
        text = self.text(name)
        try:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                raise ValueError
            at_ms = math.floor((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000 + 0.5)
        except (ValueError, OverflowError):
            raise UnreadableError(f"{name} is {text!r:.80}, expected a time such as 2025-05-01T04:12:03.250Z") from None
        if not EARLIEST_MS <= at_ms <= self._now_ms + AHEAD_MS:
            raise UnreadableError(f"{name} is {text}, expected a time from 2000 until now")
        return at_ms

    def span(self) -> tuple[int, int]:
        start_ms, end_ms = self.time("start"), self.time("end")
        if not 0 <= end_ms - start_ms <= LONGEST_MS:
            raise UnreadableError("end is not within a day after start")
        return start_ms, end_ms

    def names(self) -> tuple[str, str, str]:
        code = self.text("label")
        if len(code) > 100:
            raise UnreadableError("label is longer than 100 characters")
        return code, self.text("common_name", empty=True), self.text("scientific_name", empty=True)

    def codes(self, name: str) -> tuple[str, ...]:
        found = self._value.get(name)
        if not isinstance(found, list) or not all(isinstance(code, str) for code in found):
            raise UnreadableError(f"{name} is {found!r:.80}, expected a list of labels")
        return tuple(code[:100] for code in found[:10_000])

    def whole_text(self) -> str:
        text = json.dumps(self._value, ensure_ascii=False)
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            raise UnreadableError("holds text that UTF-8 cannot") from None
        if size > MAX_STATUS_BYTES:
            raise UnreadableError(f"a status of {size} bytes, expected {MAX_STATUS_BYTES} at most")
        return text


def _detection(read: _Reader) -> Detection:
    return Detection(*read.names(), *read.span(), read.number("score", 0, 1), read.optional("event_id"))


def _event(read: _Reader) -> Event:
    clip = read._value.get("clip") is not None
    return Event(*read.names(), *read.span(), read.number("max_score", 0, 1), read.text("event_id"), clip)


def _gap(read: _Reader) -> Gap:
    return Gap(read.time("start"), read.number("seconds", -1e9, 1e9), read.text("reason"))


def _recording(read: _Reader) -> Recording:
    return Recording(*read.span(), read.whole("windows", 0, 2**31 - 1), read.codes("present"))


def _status(read: _Reader) -> Status:
    seconds, latency = read.sub("seconds"), read.sub("latency_ms")
    p95 = None if latency._value.get("p95") is None else latency.number("p95", -1e9, 1e9)
    # Stations of earlier versions do not send it.
    level = None if read._value.get("level_dbfs") is None else read.number("level_dbfs", -1000, 1000)
    listened_s = seconds.number("analysed", 0, 1e12) + seconds.number("skipped_silent", 0, 1e12)
    text = read.whole_text()
    return Status(read.text("state"), listened_s, p95, level, text)


_KINDS: dict[str, Callable[[_Reader], Body]] = {
    "detection": _detection,
    "event": _event,
    "gap": _gap,
    "recording": _recording,
    "status": _status,
}


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")
