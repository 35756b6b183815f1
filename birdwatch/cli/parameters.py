"""Parameter types that click does not have: finite numbers, local paths, weights, durations."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from birdwatch.paths import is_object_store, is_url

__all__ = ["Duration", "FiniteRange", "Kernel", "NamedPath", "NamedPlace"]

UNITS_S = {"s": 1.0, "min": 60.0, "h": 3600.0}


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
    """A local path that is not empty: an unset variable of a script would otherwise mean the current folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """The path."""
        if not str(value):
            self.fail("the name is empty.", param, ctx)
        if is_url(str(value)):
            self.fail(
                "it is a URL, expected a local path; download the table first, or a dataset's folder and its "
                ".recordings.parquet.",
                param,
                ctx,
            )
        return super().convert(value, param, ctx)


class NamedPlace(NamedPath):
    """A folder as with `NamedPath`, or the URL of one in an object store."""

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """The path, or the URL as text."""
        text = str(value)
        return text if is_object_store(text) else super().convert(value, param, ctx)


if TYPE_CHECKING:
    SecondsParam = click.ParamType[float, object]
    WeightsParam = click.ParamType[tuple[float, ...], object]
else:
    # Older releases of click have no type parameters at run time.
    SecondsParam = WeightsParam = click.ParamType


class Duration(SecondsParam):
    """A time such as 85min, 1.5h or 300s, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds, above 0."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"([0-9]*\.?[0-9]+) *(s|min|h)", str(value))
        if match is None or float(match[1]) <= 0:
            return self.fail(f"{value!r} is not a duration; expected one such as 85min, 1.5h or 300s", param, ctx)
        return float(match[1]) * UNITS_S[match[2]]


class Kernel(WeightsParam):
    """Weights over neighbours, an odd number of them: `.2/.6/.2`."""

    name = "weights"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """The weights, none below 0 and not all 0."""
        if isinstance(value, tuple):
            return value
        try:
            weights = tuple(float(part) for part in str(value).split("/"))
        except ValueError:
            weights = ()
        if len(weights) % 2 == 0 or not min(weights) >= 0 or not 0 < sum(weights) < math.inf:
            return self.fail(f"{value!r} is not an odd number of weights such as .2/.6/.2", param, ctx)
        return weights
