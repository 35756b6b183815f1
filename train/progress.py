"""A progress bar on stderr where that is a terminal, and none where it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["Pace", "tracked"]

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


class Pace:
    """Progress within an epoch: at most one line in `every_s` seconds, with loss, rate and time to go.

    clock: seconds, for tests.
    """

    def __init__(
        self,
        title: str,
        windows: int,
        say: Callable[[str], None],
        *,
        every_s: float = 60.0,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._title, self._total, self._say, self._every_s, self._clock = title, windows, say, every_s, clock
        self._began_s = self._said_s = clock()
        self._done, self._losses = 0, 0.0

    def push(self, windows: int, loss: float) -> None:
        """Count a batch of `windows` with the mean `loss`."""
        self._done += windows
        self._losses += windows * loss
        now_s = self._clock()
        if now_s - self._said_s < self._every_s or self._done >= self._total:
            return
        self._said_s = now_s
        rate = self._done / (now_s - self._began_s)
        left_s = (self._total - self._done) / rate
        self._say(
            f"{self._title}: {self._done} of {self._total} windows, loss {self._losses / self._done:.4f}, "
            f"{rate:.1f} windows/s, {left_s / 60:.1f} min to go"
        )
