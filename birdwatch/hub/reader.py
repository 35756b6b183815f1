"""One origin's messages, from its socket and out of its replay, each handed on once.

A thread of its own, so that a slow, silent or hostile station does not delay the others. Where a message leaves a hole,
or begins a new start of the station, the station is asked first; what it no longer has is counted as lost.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from birdwatch.errors import BirdwatchError, SinkError
from birdwatch.hub.ingest import Item, Position
from birdwatch.hub.origin import Origin
from birdwatch.hub.received import Received
from birdwatch.hub.records import Record, UnreadableError, parse
from birdwatch.messaging.message_pages import Page
from birdwatch.messaging.replay import ask
from birdwatch.messaging.subscriber import Subscriber

__all__ = ["Reader"]

log = logging.getLogger(__name__)

WAITING = 5000
POLL_S = 0.25
# Between attempts to ask a station that does not answer, and to reach one whose keys or endpoint are wrong.
RETRY_S, LONGEST_RETRY_S = 5.0, 300.0
ASK_TIMEOUT_S = 10.0
# More than a hundred ordinary microphones send together; further messages wait in the station.
MAX_PER_S = 3000
# Maximum of stations and starts per origin; ordinary ones have a few.
MAX_STATIONS = 64
MAX_NEW_BOOTS = 200
# A journal of 256 MB has fewer pages of 500.
MAX_PAGES = 20_000
# A walk begins this many starts back: that many may have begun while none was reached.
BOOTS_BACK = 5
UNKNOWN_BOOT = "-"

Key = tuple[str, str]


@dataclass(slots=True)
class _Retry:
    at_s: float = 0.0
    wait_s: float = RETRY_S

    def failed(self, now_s: float) -> None:
        self.at_s = now_s + self.wait_s
        self.wait_s = min(2 * self.wait_s, LONGEST_RETRY_S)

    def succeeded(self) -> None:
        self.at_s, self.wait_s = 0.0, RETRY_S


@dataclass(slots=True)
class Reader:
    """Reads `origin` until `stop`; `inbox` holds what is to be stored, in order. progress: what the store has.

    The progress is ahead of the store by what is in the inbox, and so never asked for twice. fault: why the station
    cannot be reached or asked, or None.
    """

    origin: Origin
    progress: dict[Key, Received]
    wake: Callable[[], None] = lambda: None
    clock: Callable[[], float] = time.time
    inbox: queue.Queue[Item] = field(default_factory=lambda: queue.Queue(WAITING))
    fault: str | None = None
    unreadable: int = 0
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _pending: set[Key] = field(default_factory=set)
    _retry: _Retry = field(default_factory=_Retry)
    _new_boots: int = 0
    _flushed: int = 0
    _flush_at_s: float = 0.0

    def start(self) -> None:
        """Begin to read."""
        for station in {station for station, _ in self.progress}:
            self._pending.add((station, self._boots(station)[-BOOTS_BACK:][0]))
        if not self.progress:
            self._pending.add(("", UNKNOWN_BOOT))
        self._pending |= {key for key, progress in self.progress.items() if progress.holes}
        self._thread = threading.Thread(target=self._run, name=f"hub {self.origin.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; what is in the inbox is still to be stored."""
        self._stopping.set()

    def join(self, timeout_s: float) -> None:
        """Wait for the end."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with Subscriber(self.origin.endpoint, keys=self.origin.keys) as subscriber:
                    self.fault = None
                    self._read(subscriber)
            except BirdwatchError as error:
                self.fault = str(error)
                log.warning("%s: %s", self.origin.name, error)
            except Exception as error:
                # Unexpected errors are logged and do not affect other stations.
                self.fault = f"{type(error).__name__}: {error}"
                log.exception("%s: reading has failed; it is begun again", self.origin.name)
            self._stopping.wait(RETRY_S)

    def _read(self, subscriber: Subscriber) -> None:
        second, count = 0, 0
        while not self._stopping.is_set():
            message = subscriber.receive(POLL_S)
            self._flush_unreadable(wait=message is None)
            if message is not None:
                self._received(message[1])
                if int(time.monotonic()) != second:
                    second, count = int(time.monotonic()), 0
                count += 1
                if count >= MAX_PER_S:
                    self._stopping.wait(POLL_S)
            elif self._pending and time.monotonic() >= self._retry.at_s:
                self._walk()

    def _received(self, body: bytes) -> None:
        """Take a live message, after what it shows to be missing."""
        try:
            record = parse(body, now_ms=int(self.clock() * 1000))
        except UnreadableError as error:
            self._refuse(str(error))
            return
        key = (record.station, record.boot_id)
        if key not in self.progress:
            before = self._boots(record.station)
            self._pending.add((record.station, before[-BOOTS_BACK:][0] if before else UNKNOWN_BOOT))
        elif not self.progress[key].follows(record.seq):
            self._pending.add(key)
        if self._pending and time.monotonic() >= self._retry.at_s:
            self._walk()
        self._take(record)

    def _replayed(self, body: bytes) -> None:
        try:
            self._take(parse(body, now_ms=int(self.clock() * 1000)))
        except UnreadableError as error:
            self._refuse(str(error))

    def _take(self, record: Record) -> None:
        """Hand a message on, if it is new."""
        key = (record.station, record.boot_id)
        progress = self.progress.get(key) or self._begun(key)
        if progress is None:
            self._refuse("more stations or starts than a station has")
        elif progress.admit(record.seq):
            self._put(Item(self.origin.name, *key, _position(progress), record))

    def _begun(self, key: Key) -> Received | None:
        known = {station for station, _ in self.progress}
        if (key[0] not in known and len(known) >= MAX_STATIONS) or self._new_boots >= MAX_NEW_BOOTS:
            return None
        self._new_boots += 1
        return self.progress.setdefault(key, Received())

    def _walk(self) -> None:
        """Ask for everything that may be missing, from the oldest place on."""
        if self.origin.replay is None:
            for station, boot_id in self._pending:
                self._give_up((station, boot_id), 0)
            self._pending.clear()
            return
        for key in sorted(self._pending):
            try:
                self._walk_from(*key)
            except SinkError as error:
                self.fault = str(error)
                self._retry.failed(time.monotonic())
                log.warning("%s: %s", self.origin.name, error)
                return
            self._pending.discard(key)
        self.fault = None
        self._retry.succeeded()

    def _walk_from(self, station: str, boot_id: str) -> None:
        progress = self.progress.get((station, boot_id))
        at = (boot_id, progress.first_missing() - 1 if progress else 0)
        pages = 0
        while not self._stopping.is_set():
            jump: tuple[str, int] | None = None
            for page in ask(self.origin.replay or "", at[1], at[0], keys=self.origin.keys, timeout_s=ASK_TIMEOUT_S):
                reached = self._page(at, page)
                pages += 1
                if page.more and (reached == at or pages > MAX_PAGES):
                    raise SinkError(f"{self.origin.replay} sends pages without an end; its replay is left")
                at = reached
                if self._stopping.is_set():
                    return
                jump = self._known_up_to(at) if page.more else None
                if jump is not None:
                    break
            if jump is None:
                return
            at = jump

    def _page(self, at: tuple[str, int], page: Page) -> tuple[str, int]:
        """Take a page that was asked for from `at`, count what the station no longer has, and return where it ends."""
        for entry in page.entries:
            self._replayed(entry.body)
        reached = (page.boot_id or at[0], page.seq)
        passed = list(dict.fromkeys([at[0], *(entry.boot_id for entry in page.entries), reached[0]]))
        for boot_id in passed:
            for key in [key for key in self.progress if key[1] == boot_id]:
                after = at[1] if boot_id == at[0] and page.missing is not None else 0
                last = reached[1] if boot_id == reached[0] else None
                if page.missing is None and boot_id == reached[0] == at[0]:
                    last = None
                self._give_up(key, after, last)
        return reached

    def _give_up(self, key: Key, after: int, up_to: int | None = None) -> None:
        progress = self.progress.get(key)
        if progress is None:
            return
        lost = progress.give_up(after, progress.through if up_to is None else up_to)
        if lost:
            log.warning(
                "%s: %d messages of %s are lost; the station no longer has them", self.origin.name, lost, key[0]
            )
            self._put(Item(self.origin.name, *key, _position(progress)))

    def _known_up_to(self, at: tuple[str, int]) -> tuple[str, int] | None:
        """A place further on, up to which everything has come."""
        keys = [key for key in self.progress if key[1] == at[0]]
        known = min((self.progress[key].first_missing() - 1 for key in keys), default=0)
        return (at[0], known) if known > at[1] else None

    def _boots(self, station: str) -> list[str]:
        return [boot_id for name, boot_id in self.progress if name == station]

    def _refuse(self, why: str) -> None:
        self.unreadable += 1
        if self.unreadable in (1, 100, 10_000):
            log.warning("%s: unreadable message (%d so far): %s", self.origin.name, self.unreadable, why)

    def _flush_unreadable(self, *, wait: bool) -> None:
        count = self.unreadable - self._flushed
        if count and (wait or time.monotonic() >= self._flush_at_s):
            self._flush_at_s = time.monotonic() + 1.0
            self._flushed = self.unreadable
            station = next(iter(self.progress), (self.origin.name, ""))[0]
            self._put(Item(self.origin.name, station, "", None, unreadable=count))

    def _put(self, item: Item) -> None:
        while not self._stopping.is_set():
            try:
                self.inbox.put(item, timeout=POLL_S)
            except queue.Full:
                continue
            self.wake()
            return


def _position(progress: Received) -> Position:
    return Position(progress.through, progress.holes_text(), progress.lost)


def progress_of(rows: Mapping[Key, tuple[int, str, int]]) -> dict[Key, Received]:
    """The progress of each station's starts out of the store: through, holes, lost."""
    return {key: Received.read(*row) for key, row in rows.items()}
