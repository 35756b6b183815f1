"""Server-sent events: who gets which, and what becomes of a browser that takes nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from birdwatch.hub.live import MAX_WAITING, Live


def told(data: bytes) -> list[tuple[str, Any]]:
    """Kind and value of each server-sent event in `data`."""
    found = []
    for block in data.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


async def connected(live: Live, station: str | None = None) -> AsyncIterator[bytes]:
    stream = live.listen(station)
    assert (await anext(stream)).startswith(b": birdwatch")
    return stream


def test_each_browser_gets_its_station_or_all_of_them():
    async def run() -> None:
        live = Live()
        everything, pond = await connected(live), await connected(live, "pond")
        assert live.listeners == 2
        for number, station in enumerate(["garden", "pond", "garden"]):
            live.tell("gap", {"station": station, "number": number})
        live.close()
        got = [[one async for one in stream] for stream in (everything, pond)]
        assert [[value["number"] for data in parts for _, value in told(data)] for parts in got] == [[0, 1, 2], [1]]
        assert live.listeners == 0

    asyncio.run(asyncio.wait_for(run(), 20))


def test_text_of_a_station_stays_within_its_event():
    async def run() -> None:
        live = Live()
        stream = await connected(live)
        value = {"station": "a\n\nevent: status\ndata: {}", "name": "Zaunkönig \ud800"}
        live.tell("event", value)
        ((kind, got),) = told(await anext(stream))
        assert (kind, got["station"]) == ("event", value["station"])
        await stream.aclose()  # type: ignore[attr-defined]

    asyncio.run(asyncio.wait_for(run(), 20))


def test_a_browser_that_takes_nothing_is_closed_and_costs_the_others_nothing():
    async def run() -> None:
        live = Live()
        slow, other = await connected(live), await connected(live)
        got = 0
        for number in range(MAX_WAITING + 10):
            live.tell("status", {"station": "garden", "number": number})
            got += len(told(await anext(other)))
        assert got == MAX_WAITING + 10
        assert sum([len(told(data)) async for data in slow]) == MAX_WAITING
        assert live.listeners == 1
        await other.aclose()  # type: ignore[attr-defined]

    asyncio.run(asyncio.wait_for(run(), 60))


def test_without_a_browser_nothing_is_encoded():
    live = Live()
    live.tell("event", {"station": object()})
    live.close()
