"""Faults of a configuration as text of bounded length, for the log and the status."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["Faults", "short"]

# The number of faults that are kept as text.
MAX_FAULTS = 50
MAX_SHOWN = 80


class Faults:
    """What is wrong: the first of it as text, the rest as a number."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._more = 0

    def append(self, text: str) -> None:
        """Something is wrong."""
        if len(self._texts) < MAX_FAULTS:
            self._texts.append(text)
        else:
            self._more += 1

    def unknown(self, where: str, name: str, known: Iterable[str]) -> None:
        """There is no setting `name`."""
        if len(self._texts) >= MAX_FAULTS:  # looking for a similar name takes a millisecond
            self._more += 1
            return
        close = difflib.get_close_matches(name[:MAX_SHOWN], list(known), n=1)
        hint = f"did you mean {close[0]}?" if close else "`birdwatch config` lists what can be set"
        self.append(f"{where}unknown setting {name[:MAX_SHOWN]} ({hint})")

    def all(self) -> list[str]:
        """One text each."""
        return [*self._texts, *([f"and {self._more} more"] if self._more else [])]


def short(value: object) -> str:
    """As Python writes it, the beginning where it is long."""
    try:
        text = repr(value)
    except RecursionError:
        return "nested too deeply"
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
