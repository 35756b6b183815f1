"""Formats numbers and names for messages to users."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["audio_text", "counted", "listed", "printable", "speed_text", "verb", "work_text"]

MINUTE_S, HOUR_S = 60.0, 3600.0
# Work below this is given in seconds.
LITTLE_S = 36.0


def counted(number: int, word: str, plural: str | None = None) -> str:
    """`1 recording`, `2 recordings`; plural: where it is not the word with an s."""
    return f"{number} {word if number == 1 else plural or word + 's'}"


def verb(number: int, one: str, more: str) -> str:
    """The verb for a number: `is` for 1, `are` for others."""
    return one if number == 1 else more


def listed(names: Sequence[str], most: int = 10) -> str:
    """`a, b, c`, or the first `most` of them and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def speed_text(times_real_time: float) -> str:
    """`0.4`, `9.6`, `120`: with the significant digits only."""
    return f"{times_real_time:.0f}" if times_real_time >= 9.95 else f"{times_real_time:.1f}"


def audio_text(seconds: float) -> str:
    """`1.5 s`, `12.3 min`, `8.25 h`: an amount of audio in the unit in which it is a small number."""
    if seconds < MINUTE_S:
        return f"{seconds:.1f} s"
    return f"{seconds / MINUTE_S:.1f} min" if seconds < HOUR_S else f"{seconds / HOUR_S:.2f} h"


def work_text(core_s: float) -> str:
    """`12.5 core-hours`, or seconds of one core where that is hardly anything: an amount of work."""
    hours = core_s / HOUR_S
    if core_s >= LITTLE_S:
        return f"{hours:,.0f} core-hours" if hours >= 100 else f"{hours:.3g} core-hours"
    return f"{core_s:.2g} s of one core, under {LITTLE_S / HOUR_S:g} core-hours"


def printable(text: str) -> str:
    r"""The text on one line: control characters, which a file's name may hold and a terminal obeys, as `\x1b`."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )
