"""Detection thresholds of a station on this machine: shown, changed in its file, and confirmed by the station itself.

The file is replaced, the station reads it, and its next status says which thresholds are in force. Where it refuses, or
says nothing, the file is put back.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from sqlalchemy import select

from birdwatch.atomic_write import written_beside
from birdwatch.config.loading import Loaded
from birdwatch.config.schema import Settings
from birdwatch.config.thresholds import thresholds_digest, with_thresholds
from birdwatch.errors import BirdwatchError, ConfigError
from birdwatch.hub.schema import stations
from birdwatch.hub.station_process import Listener, find_listener
from birdwatch.hub.store import Store

__all__ = ["Thresholds"]

# A station sends a status every 5 s.
SILENT_MS = 20_000
CONFIRMED_WITHIN_S = 10.0
POLL_S = 0.1
REMOTE = "the station does not say where it runs; change the thresholds in its own configuration, and reload it"


@dataclass(frozen=True, slots=True)
class _InForce:
    """What a station's newest status says. reads: of its start `boot_id`."""

    name: str
    boot_id: str
    process: int
    digest: str
    reads: int
    refused: str | None


class Thresholds:
    """Thresholds of the stations in `store`. now_ms: this machine's clock. One change is made at a time."""

    def __init__(self, store: Store, now_ms: Callable[[], int], *, wait_s: float = CONFIRMED_WITHIN_S) -> None:
        self._store, self._now_ms, self._wait_s = store, now_ms, wait_s
        self._changing = threading.Lock()

    def read(self, station: str) -> dict[str, Any]:
        """`default` (None: the model's own), `classes` by code, `writable`, and `why` not."""
        try:
            _, _, loaded = self._found(station)
        except BirdwatchError as error:
            return {"default": None, "classes": {}, "writable": False, "why": str(error)}
        return {**_shown(loaded, station), "writable": True, "why": None}

    def write(self, station: str, default: float | None, classes: dict[str, float]) -> dict[str, Any]:
        """Change them and answer as `read`, once they are in force. Raises BirdwatchError, and the old ones are."""
        with self._changing:
            before, listener, loaded = self._found(station)
            changes: dict[tuple[str, ...], float | None] = {(*_place(loaded, before.name), "threshold"): default}
            changes |= {("class", code, "threshold"): None for code in _own_classes(loaded)}
            changes |= {("class", code, "threshold"): value for code, value in classes.items()}
            old = listener.file.read_bytes()
            new = with_thresholds(old.decode(), changes).encode()
            wanted = thresholds_digest(_of(_checked(listener, new), before.name))
            _replace(listener.file, new)
            try:
                listener.reload()
                self._confirmed(station, before, wanted)
            except BirdwatchError:
                _replace(listener.file, old)
                with suppress(ConfigError):
                    now = self._in_force(station)
                    listener.reload()
                    # Waited for, so that the next change does not take this answer for its own.
                    self._confirmed(station, now, now.digest)
                raise
            return self.read(station)

    def _found(self, station: str) -> tuple[_InForce, Listener, Loaded]:
        """Raises ConfigError with why the thresholds of a station cannot be changed from here."""
        in_force = self._in_force(station)
        listener = find_listener(in_force.process)
        loaded = listener.configuration(listener.file).read()
        if thresholds_digest(_of(loaded, in_force.name)) != in_force.digest:
            raise ConfigError(
                f"other thresholds are in force than {listener.file} has: an option overrides it, or it was changed "
                "and not read again; reload the station"
            )
        if not os.access(listener.file, os.W_OK) or not os.access(listener.file.parent, os.W_OK):
            raise ConfigError(f"{listener.file} cannot be written by the hub; change the thresholds there")
        return in_force, listener, loaded

    def _in_force(self, station: str) -> _InForce:
        wanted = select(stations.c.sent_name, stations.c.status, stations.c.last_seen_ms)
        with self._store.reading() as connection:
            row = connection.execute(wanted.where(stations.c.name == station)).first()
        if row is None or not row.status:
            raise ConfigError(f"there is no station {station!r:.80}")
        if self._now_ms() - (row.last_seen_ms or 0) > SILENT_MS:
            raise ConfigError("the station does not answer; its thresholds cannot be changed now")
        status = json.loads(row.status)
        found = status.get("configuration")
        try:
            process, digest, reads, refused = (found[key] for key in ("process", "thresholds", "reads", "refused"))
        except (TypeError, KeyError):
            raise ConfigError(REMOTE) from None
        if not all(type(number) is int and 0 < number < 2**31 for number in (process, reads)):
            raise ConfigError(REMOTE)
        return _InForce(
            row.sent_name, str(status.get("boot_id")), process, str(digest), reads, refused and str(refused)
        )

    def _confirmed(self, station: str, before: _InForce, wanted: str) -> None:
        """Wait until the station says that it has read its file. Raises ConfigError where it has not taken it over."""
        until = time.monotonic() + self._wait_s
        now = before
        while now.reads <= before.reads and now.boot_id == before.boot_id:
            if time.monotonic() > until:
                raise ConfigError(f"the station did not answer within {self._wait_s:g} s; the old thresholds are kept")
            time.sleep(POLL_S)
            now = self._in_force(station)
        if now.refused is not None:
            raise ConfigError(f"the station refuses: {now.refused}; the old thresholds are kept")
        if now.digest != wanted:
            raise ConfigError("other thresholds than these came into force; the old ones are kept")


def _of(loaded: Loaded, station: str) -> Settings:
    """The settings of a station; of a channel, those of its source."""
    return loaded.sources.get(station) or loaded.sources.get(station.rpartition("-")[0]) or loaded.settings


def _place(loaded: Loaded, station: str) -> tuple[str, ...]:
    """Where the threshold of all classes stands: a source may have its own."""
    return ("source", station) if f"source.{station}.threshold" in loaded.origins else ()


def _own_classes(loaded: Loaded) -> list[str]:
    """The classes with a threshold of their own in the file."""
    return [code for code in loaded.settings.class_ if f"class.{code}.threshold" in loaded.origins]


def _shown(loaded: Loaded, station: str) -> dict[str, Any]:
    own = {code: loaded.settings.class_[code].threshold for code in _own_classes(loaded)}
    return {"default": _of(loaded, station).threshold, "classes": own}


def _checked(listener: Listener, content: bytes) -> Loaded:
    """What the listener would read. Raises ConfigError where it would refuse."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / listener.file.name
        path.write_bytes(content)
        try:
            return listener.configuration(path).read()
        except ConfigError as error:
            raise ConfigError(str(error).replace(f"{path}: ", "")) from None


def _replace(file: Path, content: bytes) -> None:
    """Write beside and rename; who may read it stays as it is."""
    mode = stat.S_IMODE(file.stat().st_mode)
    with written_beside(file, binary=True) as stream:
        os.fchmod(stream.fileno(), mode)
        cast(IO[bytes], stream).write(content)
