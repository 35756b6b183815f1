"""Spectra of stations for the live spectrogram, subscribed to only while a browser shows it."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import select

from birdwatch.errors import BirdwatchError
from birdwatch.hub.live import Live
from birdwatch.hub.origin import Origin
from birdwatch.hub.schema import stations
from birdwatch.hub.store import Store
from birdwatch.messaging.messages import SCHEMA
from birdwatch.messaging.subscriber import Subscriber

__all__ = ["Spectra"]

log = logging.getLogger(__name__)

POLL_S = 0.5
IDLE_S = 0.5
# Ten columns a second of 256 bands; a station that sends more is not shown.
MAX_BYTES = 64_000
MAX_PER_S = 20 * 16


class Spectra:
    """Passes spectra of `origins` on to `live`, while it has listeners."""

    def __init__(self, store: Store, origins: Sequence[Origin], live: Live) -> None:
        self._store, self._live = store, live
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(origin,), name=f"spectra {origin.name}", daemon=True)
            for origin in origins
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End."""
        self._stopping.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(2 * POLL_S)

    def _run(self, origin: Origin) -> None:
        while not self._stopping.wait(IDLE_S):
            if not self._live.listeners:
                continue
            try:
                self._pass_on(origin)
            except BirdwatchError as error:
                log.info("%s: no spectra: %s", origin.name, error)
                self._stopping.wait(10 * IDLE_S)

    def _pass_on(self, origin: Origin) -> None:
        names = self._names(origin)
        with Subscriber(origin.endpoint, (f"{SCHEMA}/spectrum/",), keys=origin.keys) as subscriber:
            while self._live.listeners and not self._stopping.is_set():
                message = subscriber.receive(POLL_S)
                value = None if message is None else shown(message[1], lambda sent: names.get(sent, sent))
                if value is not None:
                    self._live.tell("spectrum", value)

    def _names(self, origin: Origin) -> dict[str, str]:
        wanted = select(stations.c.sent_name, stations.c.name).where(stations.c.origin == origin.name)
        with self._store.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(wanted)}


def shown(body: bytes, name: Callable[[str], str]) -> dict[str, Any] | None:
    """A spectrum as browsers get it, levels untouched; None for what is none."""
    if len(body) > MAX_BYTES:
        return None
    try:
        value = json.loads(body)
        columns, bands, levels = value["columns"], value["bands"], value["levels"]
        station, utc, column_s = value["station"], value["start"], value["column_s"]
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    numbers = all(isinstance(one, int) and 0 < one <= 4096 for one in (columns, bands))
    texts = all(isinstance(one, str) for one in (levels, station, utc))
    if not (numbers and texts and isinstance(column_s, int | float) and len(levels) == -(-columns * bands // 3) * 4):
        return None
    edges = {edge: value[edge] for edge in ("low_hz", "high_hz") if isinstance(value.get(edge), int | float)}
    return {
        "station": name(station),
        "utc": utc,
        "mels": bands,
        "columns": columns,
        "column_s": column_s,
        **edges,
        "b64": levels,
    }
