"""Stations that really publish, and hubs that really subscribe to them, for tests."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sample_messages import samples
from subscribers import DEADLINE_S, until

from birdwatch.hub.clock import iso
from birdwatch.hub.hub import Hub, HubSettings
from birdwatch.hub.ingest import Ingest, Item, Position
from birdwatch.hub.intake import Intake
from birdwatch.hub.origin import Origin
from birdwatch.hub.records import parse
from birdwatch.hub.store import Store
from birdwatch.messaging.messages import Envelope, Message
from birdwatch.messaging.publisher import Publisher

START_MS = 1_777_608_723_250  # 2026-05-01T04:12:03.250Z


def event(number: int, boot_id: str = "b0", *, code: str = "houspa", score: float = 0.9, clip: bool = False) -> Message:
    at_ms = START_MS + 60_000 * number
    return Message(
        "event",
        code,
        {
            "label": code,
            "common_name": code.title(),
            "scientific_name": f"Genus {code}",
            "max_score": score,
            "mean_score": score,
            "windows": 2,
            "start": iso(at_ms),
            "end": iso(at_ms + 5000),
            "start_s": 60.0 * number,
            "end_s": 60.0 * number + 5,
            "event_id": f"{boot_id}-{number}",
            "clip": "/x.flac" if clip else None,
        },
    )


def body(kind: str, seq: int, fields: dict[str, Any] | None = None, *, boot_id: str = "b0", **more: Any) -> bytes:
    """A message's body with chosen fields, valid or not."""
    head = {
        "schema": "birdwatch/1",
        "kind": kind,
        "station": "garden",
        "source": "mic",
        "boot_id": boot_id,
        "seq": seq,
        "sent": iso(START_MS + 1000 * max(0, min(seq, 10**6))),
        "version": "0.1.0",
        "filter": None,
    }
    return json.dumps({**head, **(fields or {}), **more}).encode()


@contextmanager
def publishing(
    folder: Path, boot_id: str = "b0", *, station: str = "garden", bind: str = "tcp://127.0.0.1:*", **more: Any
) -> Iterator[Publisher]:
    """A publisher whose loop runs on a thread, as a station's does."""
    named: dict[str, Any] = {"replay_endpoint": "tcp://127.0.0.1:*", "journal_max_bytes": 10**8, **more}
    with Publisher(bind, Envelope(station, "mic", boot_id), journal=folder / "journal.db", **named) as publisher:
        lock, over = threading.Lock(), threading.Event()

        def loop() -> None:
            while not over.wait(0.002):
                with lock:
                    publisher.poll()

        send = publisher.publish

        def locked(message: Message, *rest: Any) -> int:
            with lock:
                return send(message, *rest)

        publisher.publish = locked  # type: ignore[method-assign,assignment]
        thread = threading.Thread(target=loop)
        thread.start()
        try:
            yield publisher
        finally:
            over.set()
            thread.join()


def origin(publisher: Publisher, name: str = "garden") -> Origin:
    return Origin(name, publisher.endpoint, publisher.replay_endpoint)


@contextmanager
def taking_in(store: Store, *origins: Origin, tell: Callable[..., None] = lambda *_: None) -> Iterator[Intake]:
    intake = Intake(store, origins, tell)
    intake.start()
    try:
        yield intake
    finally:
        intake.close()


def eventually(condition: Callable[[], Any]) -> None:
    """Wait, with a deadline, until a condition holds."""
    waiting = threading.Event()
    until(lambda: bool(condition()), lambda: waiting.wait(0.02))


API = "/api/v1"


def fill(hub: Hub, count: int = 30, **more: Any) -> None:
    """So many events and a status, with `more` in it."""
    ingest = Ingest(hub.store)
    for number in range(count):
        code = ("houspa", "eurrob1", "kinfis")[0 if number % 3 == 0 else 1 if number < count - 2 else 2]
        fields = dict(event(number, code=code, score=0.3 + number / 100).fields)
        record = parse(body("event", number + 1, fields), now_ms=2_000_000_000_000)
        assert record.fault is None
        ingest.apply([Item("garden", "garden", "b0", Position(number + 1, "[]", 0), record)])
    status = next(message for message in samples() if message.kind == "status")
    record = parse(body("status", count + 1, dict(status.fields), **more), now_ms=2_000_000_000_000)
    ingest.apply([Item("garden", "garden", "b0", Position(count + 1, "[]", 0), record)])


def opened(folder: Path, **settings: object) -> Hub:
    named = {"store_url": f"sqlite:///{folder / 'hub.db'}", **settings}
    return Hub(HubSettings((), folder, **named))  # type: ignore[arg-type]


__all__ = [
    "API",
    "DEADLINE_S",
    "START_MS",
    "body",
    "event",
    "eventually",
    "fill",
    "iso",
    "opened",
    "origin",
    "publishing",
    "taking_in",
]
