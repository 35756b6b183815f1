"""Clips of events: fetched from the replay endpoint and stored in a folder, those of rare species longest."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast

from sqlalchemy import delete, func, select

from birdwatch.atomic_write import written_beside
from birdwatch.audio.file import AudioFile
from birdwatch.errors import BirdwatchError, DecodeError, SinkError
from birdwatch.hub.origin import Origin
from birdwatch.hub.retention import Held, to_remove
from birdwatch.hub.schema import clips, events, stations
from birdwatch.hub.store import Store
from birdwatch.messaging.replay import ask_clip
from birdwatch.report.picture import spectrogram_png

__all__ = ["Clips"]

log = logging.getLogger(__name__)

# An event's clip is a minute or two; larger ones are refused.
MAX_BYTES = 64_000_000
TIMEOUT_S = 5.0
# Questions to stations, and pictures, at the same time; the others wait.
AT_ONCE = 4
WAITING = 2000
BAND_HZ = (200.0, 12_000.0)
SHOWN_S = 60.0
FLAC = b"fLaC"


class Clips:
    """Clips in `folder`, `max_bytes` of them together; 0: none is held, each is asked for when it is played."""

    def __init__(self, store: Store, origins: Sequence[Origin], folder: Path, *, max_bytes: int) -> None:
        self._store, self._folder, self._max_bytes = store, folder, max_bytes
        self._origins = {origin.name: origin for origin in origins}
        self._asking = threading.BoundedSemaphore(AT_ONCE)
        self._wanted: queue.Queue[int] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._run, name="hub-clips", daemon=True)
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin to fetch clips as events come, those of lately first."""
        if self._max_bytes:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._thread.start()

    def close(self) -> None:
        """Stop after the clip at hand."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(2 * TIMEOUT_S)

    def want(self, event: int) -> None:
        """Fetch this event's clip in the background; where too many wait, it is only fetched when it is played."""
        if self._max_bytes and not self._wanted.full():
            self._wanted.put_nowait(event)

    def path(self, event: int) -> Path:
        """The file with an event's clip, asked for now if need be. Raises SinkError where there is none (any more)."""
        with self._store.reading() as connection:
            file = connection.scalar(select(clips.c.file).where(clips.c.event == event))
            row = connection.execute(
                select(events.c.uid, events.c.clip, events.c.species, events.c.score, stations.c.origin)
                .join(stations, events.c.station == stations.c.id)
                .where(events.c.id == event)
            ).first()
        if file is not None and (self._folder / file).is_file():
            return self._folder / str(file)
        if row is None:
            raise SinkError(f"there is no event {event}")
        origin = self._origins.get(row.origin)
        if not row.clip or row.uid is None:
            raise SinkError(f"no clip was saved of event {event}")
        if origin is None or origin.replay is None:
            raise SinkError(f"the station of event {event} cannot be asked for clips; name it with --station")
        with self._asking:
            content = _content(origin, row.uid)
        return self._keep(event, row.species, row.score, content)

    def picture(self, event: int) -> bytes:
        """A PNG of the clip's spectrogram. Raises SinkError."""
        path = self.path(event)
        try:
            with self._asking:
                audio = AudioFile(path)
                samples = audio.read(0.0, SHOWN_S)
                if not len(samples):
                    raise SinkError(f"the clip of event {event} is empty")
                return spectrogram_png(samples, audio.rate_hz, low_hz=BAND_HZ[0], high_hz=BAND_HZ[1])
        except DecodeError as error:
            raise SinkError(f"the clip of event {event} cannot be read: {error}") from error

    def prune(self) -> int:
        """Remove what is over the bound; how many clips went."""
        with self._store.reading() as connection:
            excess = int(connection.scalar(select(func.coalesce(func.sum(clips.c.bytes), 0))) or 0) - self._max_bytes
            if excess <= 0:
                return 0
            right = (events.c.verdict == "right").label("right")
            rows = connection.execute(
                select(clips.c.event, clips.c.species, clips.c.score, clips.c.bytes, right).join(events)
            )
            held = [Held(row.event, row.species, row.score, row.bytes, bool(row.right)) for row in rows]
        going = to_remove(held, excess)
        with self._store.writing() as connection:
            for clip in going:
                file = connection.scalar(select(clips.c.file).where(clips.c.event == clip.event))
                connection.execute(delete(clips).where(clips.c.event == clip.event))
                if file is not None:
                    (self._folder / file).unlink(missing_ok=True)
        return len(going)

    def _keep(self, event: int, species: int, score: float, content: bytes) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{event}.flac"
        with written_beside(path, binary=True) as stream:
            cast(IO[bytes], stream).write(content)
        row = {"event": event, "species": species, "score": score, "bytes": len(content), "file": path.name}
        with self._store.writing() as connection:
            connection.execute(self._store.insert(clips).values(row).on_conflict_do_nothing())
        return path

    def _run(self) -> None:
        for event in self._missing():
            self.want(event)
        while not self._stopping.is_set():
            try:
                event = self._wanted.get(timeout=1.0)
            except queue.Empty:
                continue
            try:
                self.path(event)
                self.prune()
            except (BirdwatchError, OSError) as error:
                log.info("the clip of event %s was not fetched: %s", event, error)

    def _missing(self) -> list[int]:
        """The newest events whose clips were not fetched."""
        wanted = (
            select(events.c.id)
            .outerjoin(clips, clips.c.event == events.c.id)
            .where(events.c.clip == 1, clips.c.event.is_(None))
            .order_by(events.c.id.desc())
            .limit(WAITING // 2)
        )
        with self._store.reading() as connection:
            return list(connection.scalars(wanted))


def _content(origin: Origin, uid: str) -> bytes:
    parts: list[bytes] = []
    size = 0
    for chunk in ask_clip(origin.replay or "", uid, keys=origin.keys, timeout_s=TIMEOUT_S):
        parts.append(chunk.content)
        size += len(chunk.content)
        if size > MAX_BYTES:
            raise SinkError(f"{origin.name} sends a clip of more than {MAX_BYTES // 1_000_000} MB; it is not kept")
    content = b"".join(parts)
    if not content.startswith(FLAC):
        raise SinkError(f"{origin.name} sends something else than FLAC as a clip; it is not kept")
    return content
