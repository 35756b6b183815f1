"""Live messages to browsers: each is encoded once as a server-sent event, however many browsers are connected."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

__all__ = ["CONNECTIONS", "VISITORS", "Live"]

# Of all browsers together: those on the live page keep one each.
CONNECTIONS = 1000
# Visitors who are not signed in may use this many; the others are reserved for signed-in users and other requests.
VISITORS = CONNECTIONS * 4 // 5
# A browser with this many unread messages is disconnected; it reconnects by itself.
MAX_WAITING = 1000
# A comment that keeps proxies from closing a silent connection.
BEAT_S = 15.0


class Live:
    """`tell` from any thread; `listen` in the event loop, one generator for each browser."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        # Each browser's queue, and the station that it wants; None for all.
        self._listeners: dict[asyncio.Queue[bytes | None], str | None] = {}

    @property
    def listeners(self) -> int:
        """How many browsers are connected."""
        return len(self._listeners)

    def tell(self, kind: str, value: dict[str, Any]) -> None:
        """Send a message to the browsers that are connected now and want its station."""
        loop = self._loop
        if loop is None or not self._listeners or loop.is_closed():
            return
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        data = f"event: {kind}\ndata: {text}\n\n".encode("utf-8", "replace")
        loop.call_soon_threadsafe(self._deliver, data, value.get("station"))

    def close(self) -> None:
        """End all streams."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._deliver, None, None)

    async def listen(self, station: str | None = None) -> AsyncIterator[bytes]:
        """Messages of `station` (None: of all) as they come, until `close` or until the browser is too slow."""
        waiting: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_WAITING + 1)
        self._loop = asyncio.get_running_loop()
        self._listeners[waiting] = station
        try:
            yield b": birdwatch\nretry: 3000\n\n"
            while True:
                try:
                    data = await asyncio.wait_for(waiting.get(), BEAT_S)
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                # What came together leaves together; None is the end.
                parts: list[bytes] = []
                while data is not None and not waiting.empty():
                    parts.append(data)
                    data = waiting.get_nowait()
                yield b"".join([*parts, data or b""])
                if data is None:
                    return
        finally:
            self._listeners.pop(waiting, None)

    def _deliver(self, data: bytes | None, station: str | None) -> None:
        for waiting, wanted in self._listeners.items():
            if data is not None and wanted is not None and wanted != station:
                continue
            if waiting.qsize() < MAX_WAITING and data is not None:
                waiting.put_nowait(data)
            elif not waiting.full():
                waiting.put_nowait(None)
