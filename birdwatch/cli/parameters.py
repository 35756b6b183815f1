"""Parameters of the command line that click's own types take and birdwatch cannot: NaN, infinity, empty names."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import click

__all__ = ["FiniteRange", "NamedPath"]


class FiniteRange(click.FloatRange):
    """A finite number within bounds; anything else is wrong usage."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        number = super().convert(value, param, ctx)
        # NaN passes click's own ranges, since nothing is greater than it.
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return float(number)


class NamedPath(click.Path):
    """A path that is not empty: an unset variable of a script would else name the current folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """The path."""
        if not str(value):
            self.fail("the name is empty.", param, ctx)
        return super().convert(value, param, ctx)
