"""A watched folder: returns each arriving recording once when it is complete, also across restarts."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from birdwatch.audio.file import AUDIO_SUFFIXES
from birdwatch.errors import SourceError
from birdwatch.live.source import Clock

__all__ = ["WatchedFolder"]

log = logging.getLogger(__name__)

# A recording is complete when neither its size nor its time has changed for this long. Card readers, SFTP and
# Syncthing write without a pause, and the latter two under another name until the end.
SETTLE_S = 5.0
# Network file systems report no changes: the folder is looked through this often anyway.
RESCAN_S = 30.0


@dataclass(frozen=True, slots=True)
class _Version:
    """A file's size and modification time: if they change, it is another recording."""

    size: int
    mtime_ns: int


class WatchedFolder:
    """A watched folder: `next` returns a complete recording, `done` marks it as scored or unreadable.

    record: the file that remembers what was done; None remembers nothing beyond this process. Raises SourceError where
    the folder is none.
    """

    def __init__(self, folder: Path, clock: Clock, *, record: Path | None) -> None:
        if not folder.is_dir():
            raise SourceError(f"{folder} is not a folder; make it, or name another one", path=folder)
        self.folder = folder
        self.fault: str | None = None
        self.done_count = 0
        self._clock = clock
        self._record = record
        self._done = self._read_record()
        self._changing: dict[str, tuple[_Version, float]] = {}
        self._ready: deque[str] = deque()
        self._scanned_at = -RESCAN_S
        self._changed = threading.Event()
        self._changed.set()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._watch, name="watch-folder", daemon=True).start()

    @property
    def waiting(self) -> int:
        """Complete recordings that were not taken yet."""
        return len(self._ready)

    def next(self) -> Path | None:
        """The next recording to score, None for none at the moment."""
        now_s = self._clock.now().awake_ns / 1e9
        settling = any(now_s - since >= SETTLE_S for _, since in self._changing.values())
        if self._changed.is_set() or settling or now_s - self._scanned_at >= RESCAN_S:
            self._changed.clear()
            self._scanned_at = now_s
            self._scan(now_s)
        while self._ready:
            path = self.folder / self._ready.popleft()
            if path.is_file():
                return path
        return None

    def done(self, path: Path, fault: str | None = None) -> None:
        """It was scored, or cannot be read for the reason `fault`: it is not given out again unless it changes."""
        name = str(path.relative_to(self.folder))
        version = _version(path)
        if version is None:
            return
        self._done[name] = version
        self.done_count += 1
        if self._record is None:
            return
        row = {"recording": name, "size": version.size, "mtime_ns": version.mtime_ns, "fault": fault}
        try:
            self._record.parent.mkdir(parents=True, exist_ok=True)
            with self._record.open("a", encoding="utf-8", errors="surrogateescape") as stream:
                stream.write(json.dumps(row) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
            self.fault = None
        except OSError as error:
            self.fault = (
                f"{self._record} cannot be written ({error.strerror}): recordings are scored again after a restart"
            )

    def close(self) -> None:
        """Watch no longer."""
        self._stopped.set()

    def _scan(self, now_s: float) -> None:
        """Find recordings that are new, and those that have become complete."""
        found = dict(self._recordings())
        for name, version in found.items():
            if self._done.get(name) == version or name in self._ready:
                continue
            before = self._changing.get(name)
            if before is None or before[0] != version:
                self._changing[name] = (version, now_s)
            elif now_s - before[1] >= SETTLE_S:
                del self._changing[name]
                self._ready.append(name)
        self._changing = {name: value for name, value in self._changing.items() if name in found}

    def _recordings(self) -> list[tuple[str, _Version]]:
        out = []
        for folder, folders, files in os.walk(self.folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                path = Path(folder) / name
                # Syncthing and rsync write to hidden files first.
                if path.suffix.lower() in AUDIO_SUFFIXES and not name.startswith((".", "~")):
                    version = _version(path)
                    if version is not None:
                        out.append((str(path.relative_to(self.folder)), version))
        return out

    def _read_record(self) -> dict[str, _Version]:
        """What was done before; a line that was cut off by a power cut is left out, and its recording scored again."""
        done: dict[str, _Version] = {}
        if self._record is None or not self._record.exists():
            return done
        try:
            lines = self._record.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        except OSError as error:
            raise SourceError(f"{self._record} cannot be read: {error.strerror}", path=self._record) from error
        for line in lines:
            try:
                row = json.loads(line)
                done[str(row["recording"])] = _Version(int(row["size"]), int(row["mtime_ns"]))
            except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
                log.warning("%s: an invalid line was skipped", self._record)
        return done

    def _watch(self) -> None:
        """Tell `next` of changes; where that cannot be done, the folder is looked through every RESCAN_S."""
        try:
            from watchfiles import watch

            # A time-out, so that the thread ends soon after `close`.
            for _ in watch(
                self.folder, watch_filter=None, stop_event=self._stopped, rust_timeout=1000, raise_interrupt=False
            ):
                self._changed.set()
        except (ImportError, OSError, RuntimeError) as error:
            log.info("%s is scanned every %g s: %s", self.folder, RESCAN_S, error)


def _version(path: Path) -> _Version | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return _Version(stat.st_size, stat.st_mtime_ns)
