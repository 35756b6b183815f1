"""What grows old in the store: details that no view reads go after some days, and old gaps are added up by the hour.

A station sends a status every five seconds and two detections or more for each event. Events, reviews, sums and
listened hours stay; so do the positions of messages, so that nothing that went is asked for or stored again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from sqlalchemy import delete, func, select, tuple_, update

from birdwatch.errors import SinkError
from birdwatch.hub.clock import HOUR_MS
from birdwatch.hub.retention import DETAILS_MAX_DAYS
from birdwatch.hub.schema import detections, gaps, recordings, stations, statuses
from birdwatch.hub.store import Store

__all__ = ["Upkeep", "add_up_gaps", "old_ms", "remove_details"]

log = logging.getLogger(__name__)

# Rows of one transaction: what stations send waits for no more than that.
BATCH = 5000
EVERY_S, PAUSE_S, STOP_S = 3600.0, 0.2, 5.0
# Up to which time gaps are added up, as a property of the store.
ADDED_UP = "gaps_added_up_to_ms"


class Upkeep:
    """Does it once an hour, from `start` to `close`. days: how long details are kept; 0: for ever."""

    def __init__(self, store: Store, now_ms: Callable[[], int], *, days: float = DETAILS_MAX_DAYS) -> None:
        self._store, self._now_ms, self._days = store, now_ms, days
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hub-upkeep", daemon=True)

    def start(self) -> None:
        """Begin."""
        if self._days:
            self._thread.start()

    def close(self) -> None:
        """End after the transaction in hand."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._once()
            except SinkError as error:
                log.warning("old details were not removed, and are tried again in an hour: %s", error)
            self._stopping.wait(EVERY_S)

    def _once(self) -> None:
        before_ms = old_ms(self._store, self._now_ms(), self._days)
        while (remove_details(self._store, before_ms) or add_up_gaps(self._store, before_ms)) and not (
            self._stopping.wait(PAUSE_S)
        ):
            pass


def old_ms(store: Store, now_ms: int, days: float) -> int:
    """What was before this, a whole hour, is old; by the newest message, where this machine's clock is ahead of it."""
    with store.reading() as connection:
        newest_ms = connection.scalar(select(func.max(stations.c.last_seen_ms))) or 0
    return int(min(now_ms, newest_ms) - days * 24 * HOUR_MS) // HOUR_MS * HOUR_MS


def remove_details(store: Store, before_ms: int) -> int:
    """Remove some of the detections, recordings and statuses from before `before_ms`; how many. Raises SinkError."""
    removed = 0
    for table in (detections, recordings, statuses):
        old = select(table.c.boot, table.c.seq).where(table.c.at_ms < before_ms).order_by(table.c.at_ms).limit(BATCH)
        with store.writing() as connection:
            removed += connection.execute(delete(table).where(tuple_(table.c.boot, table.c.seq).in_(old))).rowcount
    return removed


def add_up_gaps(store: Store, before_ms: int) -> bool:
    """Add up the gaps of the next old hour by station and reason; False where none is left. Raises SinkError.

    Accounting shows hours and days, and so the same as before.
    """
    done_ms = int(store.property(ADDED_UP) or 0)
    with store.reading() as connection:
        next_ms = connection.scalar(
            select(func.min(gaps.c.at_ms)).where(gaps.c.at_ms >= done_ms, gaps.c.at_ms < before_ms)
        )
    if next_ms is None:
        return False
    start_ms = next_ms // HOUR_MS * HOUR_MS
    alike = (gaps.c.station, gaps.c.reason)
    ranked = (
        select(
            gaps.c.boot,
            gaps.c.seq,
            func.row_number().over(partition_by=alike, order_by=(gaps.c.boot, gaps.c.seq)).label("place"),
            func.count().over(partition_by=alike).label("count"),
            func.sum(gaps.c.seconds).over(partition_by=alike).label("seconds"),
        )
        .where(gaps.c.at_ms >= start_ms, gaps.c.at_ms < start_ms + HOUR_MS)
        .subquery()
    )
    key = tuple_(gaps.c.boot, gaps.c.seq)
    with store.writing() as connection:
        firsts = select(ranked).where(ranked.c.place == 1, ranked.c.count > 1)
        sums = [(row.boot, row.seq, row.seconds) for row in connection.execute(firsts)]
        connection.execute(delete(gaps).where(key.in_(select(ranked.c.boot, ranked.c.seq).where(ranked.c.place > 1))))
        for boot, seq, seconds in sums:
            connection.execute(update(gaps).where(gaps.c.boot == boot, gaps.c.seq == seq).values(seconds=seconds))
    # Killed before this, it adds up the same hour once more, which changes nothing.
    store.set_property(ADDED_UP, str(start_ms + HOUR_MS))
    return True
