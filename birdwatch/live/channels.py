"""Separate stations for the channels of one device: the first opens it, the others get its chunks."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from birdwatch.errors import DeviceError
from birdwatch.live.source import Chunk, Source, Traits

__all__ = ["FurtherChannel", "SharedSource"]

# Chunks that wait for a channel's station: it is read in every turn.
MAX_CHUNKS = 1000


class SharedSource:
    """A source whose chunks go to the stations of further channels too. `channels` is known once audio has come."""

    def __init__(self, source: Source) -> None:
        self.channels = 1
        self.is_open = False
        self._source = source
        self._others: list[FurtherChannel] = []

    @property
    def name(self) -> str:
        """The source's."""
        return self._source.name

    @property
    def live(self) -> bool:
        """The source's."""
        return self._source.live

    @property
    def finished(self) -> bool:
        """The source's."""
        return self._source.finished

    @property
    def traits(self) -> Traits:
        """The source's."""
        return self._source.traits

    @property
    def lost_reason(self) -> str:
        """The source's."""
        return self._source.lost_reason

    @property
    def hangs(self) -> bool:
        """Whether a call into the sound library has not come back."""
        return bool(getattr(self._source, "hangs", False))

    def share(self, other: FurtherChannel) -> None:
        """Give one more channel's station the chunks that come from now on."""
        self._others.append(other)

    def open(self) -> None:
        """Begin to open the source."""
        self.is_open = False
        self._source.open()

    def ready(self) -> bool:
        """Whether it is open."""
        self.is_open = self._source.ready()
        return self.is_open

    def read(self, timeout_s: float) -> list[Chunk]:
        """What has arrived, for this channel and the others."""
        try:
            chunks = self._source.read(timeout_s)
        except Exception:
            self.is_open = False
            raise
        if chunks:
            self.channels = max(self.channels, chunks[-1].samples.shape[1])
            for other in self._others:
                other.chunks.extend(chunks)
        return chunks

    def close(self) -> None:
        """Close the source."""
        self.is_open = False
        self._source.close()


class FurtherChannel:
    """One more channel of a shared source; open while that is."""

    def __init__(self, shared: SharedSource) -> None:
        self.chunks: deque[Chunk] = deque(maxlen=MAX_CHUNKS)
        self._shared = shared
        self._open = False
        # Only the first channel's station opens the device, so only it can hang.
        self.traits = replace(shared.traits, opening_s=float("inf"))
        shared.share(self)

    @property
    def name(self) -> str:
        """The source's."""
        return self._shared.name

    @property
    def live(self) -> bool:
        """The source's."""
        return self._shared.live

    @property
    def finished(self) -> bool:
        """Whether the source has ended and all of it was read."""
        return self._shared.finished and not self.chunks

    @property
    def lost_reason(self) -> str:
        """The source's."""
        return self._shared.lost_reason

    def open(self) -> None:
        """The first channel's station opens the source."""

    def ready(self) -> bool:
        """Whether the source is open."""
        self._open = self._shared.is_open
        return self._open

    def read(self, timeout_s: float) -> list[Chunk]:
        """What has arrived. Raises DeviceError, once, where the source was closed."""
        chunks = list(self.chunks)
        self.chunks.clear()
        if not chunks and self._open and not self._shared.is_open and not self._shared.finished:
            self._open = False
            raise DeviceError(f"{self.name} is closed")
        return chunks

    def close(self) -> None:
        """The first channel's station closes the source."""
