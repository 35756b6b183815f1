"""What went wrong of late: each thing is warned of once a minute, and remembered for a minute."""

from __future__ import annotations

import logging

__all__ = ["Troubles"]

log = logging.getLogger(__name__)

# A trouble that has not come again for this long is over.
TROUBLE_S = 60.0


class Troubles:
    """`add` what happens, `reasons` says what still counts. Times are seconds of any one clock."""

    def __init__(self) -> None:
        self._latest: dict[str, tuple[float, str]] = {}
        self._warned: dict[str, float] = {}

    def add(self, kind: str, text: str, now_s: float, *, quiet: bool = False) -> None:
        """It happened again. quiet: somebody else has warned of it."""
        self._latest[kind] = (now_s, text)
        if not quiet and now_s - self._warned.get(kind, -TROUBLE_S) >= TROUBLE_S:
            self._warned[kind] = now_s
            log.warning("%s", text)

    def reasons(self, now_s: float) -> str | None:
        """What happened within the last minute, in one line; None for nothing."""
        self._latest = {kind: found for kind, found in self._latest.items() if now_s - found[0] < TROUBLE_S}
        return "; ".join(text for _, text in self._latest.values()) or None
