"""Moves messages from all readers into the store in batches, then sends them to browsers."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import DataError, IntegrityError

from birdwatch.errors import SinkError
from birdwatch.hub.ingest import Ingest, Item
from birdwatch.hub.origin import Origin
from birdwatch.hub.reader import Reader, progress_of
from birdwatch.hub.schema import boots, stations
from birdwatch.hub.store import Store

__all__ = ["Intake"]

log = logging.getLogger(__name__)

# Maximum of one reader per transaction, so that none delays the others for long.
SHARE = 500
# How long messages are collected for one transaction.
COLLECT_S = 0.1
RETRY_S, LONGEST_RETRY_S = 1.0, 30.0
STOP_S = 5.0


class Intake:
    """Subscribes to `origins` and stores what they send, from `start` to `close`. tell: called after each commit.

    fault: why the store cannot be written, or None. Nothing is dropped meanwhile: messages wait in the readers, then in
    the stations' journals.
    """

    def __init__(
        self, store: Store, origins: Sequence[Origin], tell: Callable[[str, dict[str, Any]], None] = lambda *_: None
    ) -> None:
        self.fault: str | None = None
        self._store = store
        self._tell = tell
        self._ingest = Ingest(store)
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self.readers = [Reader(origin, _progress(store, origin.name), self._woken.set) for origin in origins]
        self._thread = threading.Thread(target=self._run, name="hub-store", daemon=True)

    def start(self) -> None:
        """Begin to read and to store."""
        self._thread.start()
        for reader in self.readers:
            reader.start()

    def close(self) -> None:
        """Stop reading, and store what has been read."""
        for reader in self.readers:
            reader.stop()
        for reader in self.readers:
            reader.join(STOP_S)
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    def _run(self) -> None:
        while True:
            stopping = self._stopping.is_set()
            items = self._collected()
            if items:
                self._store_all(items)
            elif stopping:
                return
            else:
                self._woken.wait(1.0)
                self._woken.clear()
                self._stopping.wait(COLLECT_S)

    def _collected(self) -> list[Item]:
        items: list[Item] = []
        for reader in self.readers:
            try:
                for _ in range(SHARE):
                    items.append(reader.inbox.get_nowait())
            except queue.Empty:
                continue
        return items

    def _store_all(self, items: Sequence[Item]) -> None:
        """Store these, however long the disk is full; on its way out, once."""
        wait_s = RETRY_S
        while True:
            try:
                live = self._ingest.apply(items)
            except SinkError as error:
                if isinstance(error.__cause__, DataError | IntegrityError):
                    self._one_by_one(items)
                    return
                if self.fault is None:
                    log.warning("%s; messages wait, and are asked for again", error)
                self.fault = str(error)
                if self._stopping.wait(wait_s):
                    return
                wait_s = min(2 * wait_s, LONGEST_RETRY_S)
            else:
                self.fault = None
                for kind, value in live:
                    self._tell(kind, value)
                return

    def _one_by_one(self, items: Sequence[Item]) -> None:
        """Store all but what the database refuses as data; that is counted."""
        if len(items) > 1:
            for item in items:
                self._store_all([item])
            return
        (item,) = items
        log.warning("%s: the database refuses a message: %r", item.origin, item.record)
        if item.record is not None:
            self._store_all([replace(item, record=None, unreadable=1)])


def _progress(store: Store, origin: str) -> dict[tuple[str, str], Any]:
    wanted = (
        select(stations.c.sent_name, boots.c.boot_id, boots.c.through, boots.c.holes, boots.c.lost)
        .join(stations, boots.c.station == stations.c.id)
        .where(stations.c.origin == origin)
        .order_by(boots.c.id)
    )
    with store.reading() as connection:
        return dict(progress_of({(row[0], row[1]): (row[2], row[3], row[4]) for row in connection.execute(wanted)}))
