"""Faults of the last minute: each kind is logged once a minute and counts for a minute."""

from __future__ import annotations

import logging

__all__ = ["RecentFaults"]

log = logging.getLogger(__name__)

# A fault that has not recurred for this long is over.
RECENT_S = 60.0


class RecentFaults:
    """`add` what happens, `reasons` names what still counts. Times are seconds of any one clock."""

    def __init__(self) -> None:
        self._latest: dict[str, tuple[float, str]] = {}
        self._logged: dict[str, float] = {}

    def add(self, kind: str, text: str, now_s: float, *, quiet: bool = False) -> None:
        """It happened again. quiet: it is logged elsewhere."""
        self._latest[kind] = (now_s, text)
        if not quiet and now_s - self._logged.get(kind, -RECENT_S) >= RECENT_S:
            self._logged[kind] = now_s
            log.warning("%s", text)

    def reasons(self, now_s: float) -> str | None:
        """The faults of the last minute in one line; None for none."""
        self._latest = {kind: found for kind, found in self._latest.items() if now_s - found[0] < RECENT_S}
        return "; ".join(text for _, text in self._latest.values()) or None
