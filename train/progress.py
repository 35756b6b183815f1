"""A progress bar on stderr where that is a terminal, and none where it is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["tracked"]

T = TypeVar("T")


def tracked(items: Iterable[T], total: int, text: str, *, quiet: bool = False) -> Iterator[T]:
    """The items, counted on the bar as they are done with."""
    console = Console(stderr=True)
    columns = (TextColumn(text), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task(text, total=total)
        for item in items:
            yield item
            progress.advance(task)
