"""Numbers in messages for people."""

from __future__ import annotations

__all__ = ["counted", "speed_text"]


def counted(number: int, word: str, plural: str | None = None) -> str:
    """`1 recording`, `2 recordings`; plural: where it is not the word with an s."""
    return f"{number} {word if number == 1 else plural or word + 's'}"


def speed_text(times_real_time: float) -> str:
    """`0.4`, `9.6`, `120`: as many digits as mean something."""
    return f"{times_real_time:.0f}" if times_real_time >= 9.95 else f"{times_real_time:.1f}"
