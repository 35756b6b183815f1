"""Checks of `birdwatch doctor` for a hub on this machine."""

from __future__ import annotations

import time
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from birdwatch.errors import BirdwatchError
from birdwatch.hub.schema import events, stations
from birdwatch.hub.store import Store, default_url
from birdwatch.live.doctor import Finding
from birdwatch.wording import counted

__all__ = ["hub_findings"]

# A station sends a status every 5 s.
SILENT_S = 120
TIGHT_BYTES = 500_000_000


def hub_findings(folder: Path) -> list[Finding]:
    """The store in `folder`: whether it can be read, messages arrive, space is left. Nothing where there is none."""
    if not (folder / "hub.db").is_file():
        return []
    try:
        store = Store(default_url(folder), read_only=True)
        try:
            with store.reading() as connection:
                newest = connection.scalar(select(func.max(stations.c.last_seen_ms)))
                count = connection.scalar(select(func.count()).select_from(stations)) or 0
                last = connection.scalar(select(func.max(events.c.id))) or 0
            free = store.free_bytes() or 0
        finally:
            store.close()
    except (BirdwatchError, SQLAlchemyError) as error:
        return [Finding(what="hub", verdict="warns", text=f"the store {folder / 'hub.db'} cannot be read: {error}")]
    text = f"{counted(count, 'station')}, {counted(last, 'event')} in {folder / 'hub.db'}"
    if newest is None or time.time() - newest / 1000 > SILENT_S:
        return [
            Finding(what="hub", verdict="warns", text=f"{text}; no message arrived lately: is `birdwatch hub` running?")
        ]
    if free < TIGHT_BYTES:
        return [Finding(what="hub", verdict="warns", text=f"{text}; only {free / 1e6:.0f} MB are free on its disk")]
    return [Finding(what="hub", verdict="fine", text=text)]
