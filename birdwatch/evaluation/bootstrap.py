"""Confidence intervals by resampling whole groups, since recordings of one recordist are not independent."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Interval", "group_interval"]


@dataclass(frozen=True, slots=True)
class Interval:
    """low and high: quantiles of a statistic over `rounds` resamples in which it was defined; NaN where in none."""

    low: float
    high: float
    rounds: int

    def __str__(self) -> str:
        return f"{self.low:.3f} to {self.high:.3f}"


def group_interval(
    groups: Sequence[Hashable],
    statistic: Callable[[npt.NDArray[np.intp]], float],
    *,
    seed: int,
    rounds: int = 1000,
    coverage: float = 0.95,
) -> Interval:
    """The percentile bootstrap of a statistic over groups drawn with replacement, each with all of its rows.

    groups: of each row, such as its recordist or recording. statistic: of row indices `(n,)`, which may repeat; NaN
    where it is not defined (a class without a positive), and that round is left out.
    """
    rows: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        rows.setdefault(group, []).append(row)
    members = [np.array(found, np.intp) for found in rows.values()]
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(rounds if members else 0):
        drawn = rng.integers(len(members), size=len(members))
        value = statistic(np.concatenate([members[number] for number in drawn]))
        if not np.isnan(value):
            values.append(value)
    if not values:
        return Interval(float("nan"), float("nan"), 0)
    low, high = np.quantile(values, [(1 - coverage) / 2, (1 + coverage) / 2])
    return Interval(float(low), float(high), len(values))
