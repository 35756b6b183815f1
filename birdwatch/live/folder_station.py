"""A station whose source is a watched folder: each recording is scored as a stream of its own, at its own time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from birdwatch.audio.file import AudioFile
from birdwatch.errors import SourceError
from birdwatch.live.connection import Connection
from birdwatch.live.folder import WatchedFolder
from birdwatch.live.listener import Listener
from birdwatch.live.message_builder import Reporter
from birdwatch.live.outputs import Outlet
from birdwatch.live.recorded import RecordedSource
from birdwatch.live.source import PIPE, Chunk, Clock, Stamp
from birdwatch.live.station import Outcome, Station
from birdwatch.messaging.messages import Seconds, Status
from birdwatch.paths import text_of

__all__ = ["FolderStation"]

log = logging.getLogger(__name__)

# So many blocks of a recording are read in one turn: two seconds of audio.
BLOCKS_A_TURN = 40

# Makes what a recording needs, from its name, its start and its number.
Maker = Callable[[str, Stamp, int], tuple[Listener, Reporter]]


class FolderSource:
    """Stands for the folder in messages; its recordings are read one by one, each by a source of its own."""

    live = False
    finished = False
    traits = PIPE
    lost_reason = "device-lost"

    def __init__(self, folder: WatchedFolder) -> None:
        self.folder = folder
        self.name = str(folder.folder)

    def open(self) -> None:
        """The folder is watched from the start."""

    def ready(self) -> bool:
        """Always."""
        return True

    def read(self, timeout_s: float) -> list[Chunk]:
        """Nothing: recordings are read by themselves."""
        return []

    def close(self) -> None:
        """Watch no longer."""
        self.folder.close()


class _FixedClock:
    """The clock of a recording that began at a known time."""

    def __init__(self, stamp: Stamp) -> None:
        self._stamp = stamp

    def now(self) -> Stamp:
        return self._stamp


class FolderStation(Station):
    """Scores the recordings of a folder in the order in which they become complete; `captured` and so on are sums.

    One that cannot be read is reported once, in the log and in the reason, and does not affect the others. One that is
    interrupted by the end of the daemon is scored again from its start.
    """

    def __init__(
        self,
        name: str,
        folder: WatchedFolder,
        make: Maker,
        outlet: Outlet,
        clock: Clock,
        *,
        channel: int | None = None,
    ) -> None:
        listener, reporter = make(name, clock.now(), 0)
        super().__init__(name, FolderSource(folder), listener, reporter, outlet, clock)
        self._folder = folder
        self._make = make
        self._channel = channel
        self._number = 0
        self._path: Path | None = None
        self._sums = Seconds()
        self._windows = self._detections = 0
        self.state = "listening"
        folder.start()

    @property
    def ended(self) -> bool:
        """A folder never ends."""
        return False

    def capture(self, timeout_s: float) -> Outcome:
        """Read a part of a recording, or look for the next one."""
        if self._path is None:
            path = self._folder.next()
            if path is None:
                return "idle"
            self._begin(path)
            return "moved"
        if self._connection.phase == "ended":
            if self.listener.waiting:
                return "waited"
            self._end(None)
            return "moved"
        if self.listener.queued >= self.enough_waiting:
            return "waited"
        try:
            for _ in range(BLOCKS_A_TURN):
                for chunk in self._connection.turn(0.0).chunks:
                    self.report(self.listener.push(chunk))
        except SourceError as error:
            self._connection.end()
            self._end(str(error))
        return "moved"

    def stop(self) -> None:
        """Close the folder and the recording that is under way."""
        self.source.close()
        super().stop()

    def status(self) -> Status:
        """The sums over all recordings so far."""
        status = super().status()
        return replace(
            status,
            seconds=_sum(self._sums, status.seconds),
            windows=self._windows + status.windows,
            detections=self._detections + status.detections,
            flags=(),
        )

    def _begin(self, path: Path) -> None:
        now = self._clock.now()
        try:
            audio = AudioFile(path)
            start_ns = audio.start_utc_ns()
            if start_ns is None:
                # Recorders stamp a file when they close it.
                start_ns = path.stat().st_mtime_ns - round(audio.duration_s * 1e9)
            start = Stamp(now.steady_ns, now.awake_ns, start_ns)
            source = RecordedSource(str(path), _FixedClock(start), live=False, channel=self._channel)
        except (SourceError, OSError) as error:
            self._refuse(path, str(error))
            return
        self._number += 1
        self._path = path
        name = text_of(path.relative_to(self._folder.folder))
        self.listener, self.reporter = self._make(name, start, self._number)
        self._connection = Connection(source, _FixedClock(start))
        log.info("scoring %s", path)

    def _end(self, fault: str | None) -> None:
        """The recording is over: its events end, and it is remembered."""
        path, self._path = self._path, None
        self.report(self.listener.finish())
        status = super().status()
        self._sums = _sum(self._sums, status.seconds)
        self._windows += status.windows
        self._detections += status.detections
        self.listener, self.reporter = self._make(self.name, self._clock.now(), 0)
        if path is not None:
            if fault is not None:
                self._refuse(path, fault)
            else:
                self._folder.done(path)

    def _refuse(self, path: Path, fault: str) -> None:
        self._faults.add(str(path), fault, self._now())
        self._folder.done(path, fault)

    def _decide(self) -> None:
        if self._folder.fault is not None:
            self._faults.add("record", self._folder.fault, self._now())
        if self.state != "stopping":
            self.reason = self._faults.reasons(self._now())
            self.state = "degraded" if self.reason else "listening"


def _sum(one: Seconds, other: Seconds) -> Seconds:
    return Seconds(
        captured=one.captured + other.captured,
        analysed=one.analysed + other.analysed,
        skipped_silent=one.skipped_silent + other.skipped_silent,
        dropped=one.dropped + other.dropped,
        pending=one.pending + other.pending,
    )
