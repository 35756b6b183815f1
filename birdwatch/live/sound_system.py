"""The process's PortAudio, shared by several microphones: serialised calls and one list of devices.

PortAudio is not made for threads, and its list of devices can only be made anew by ending it, with all streams: under
an open one the process crashes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

__all__ = ["SETTLED_S", "SoundSystem"]

log = logging.getLogger(__name__)

# A card or a sound server appears a little before it can be used. Microphones retry for longer than this.
SETTLED_S = 10.0


class SoundSystem:
    """Hold `lock` around every call. `opened` and `closed` say which streams there are."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._streams: dict[object, Callable[[], None]] = {}
        self._hardware: str | None = None
        self._changed_at_s = 0.0
        self._settled = True

    def opened(self, owner: object, close: Callable[[], None]) -> None:
        """`owner` has a stream, which `close` ends."""
        self._streams[owner] = close

    def closed(self, owner: object) -> None:
        """It has none."""
        self._streams.pop(owner, None)

    def may_scan(self, hardware: str | None, now_s: float) -> bool:
        """Whether the list of devices may be made anew; then no stream is open.

        Streams of others are closed for it, and opened again by their stations, where the hardware is another than when
        the list was made, and once more when that has settled. hardware: as `hardware_signature` says; where that is
        None, streams of others are left alone.
        """
        others = list(self._streams.values())
        changed = hardware is not None and hardware != self._hardware
        settles = not self._settled and now_s - self._changed_at_s >= SETTLED_S
        if others and not changed and not settles:
            return False
        if others:
            log.warning("sound hardware has come or gone: all microphones are opened again to find it")
        for close in others:
            close()
        if changed:
            # What was there at the start has settled.
            self._settled = self._hardware is None
            self._hardware, self._changed_at_s = hardware, now_s
        elif settles:
            self._settled = True
        return True
