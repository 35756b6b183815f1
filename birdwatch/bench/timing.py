"""Wall and processor seconds of calls that take turns, so that a machine whose speed drifts treats them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

__all__ = ["Cost", "cost_of", "median_cost", "taking_turns"]


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds: on the clock, and of processor time over all threads of this process."""

    wall_s: float
    cpu_s: float

    @property
    def cores(self) -> float:
        """How many cores it had on average: fewer than it has threads for where others use the machine, or it waits."""
        return self.cpu_s / self.wall_s


def cost_of(call: Callable[[], object]) -> Cost:
    """What one call costs."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def taking_turns(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[Cost]]:
    """Each call's costs over `rounds` rounds A B C, A B C, ... behind one round that is not counted."""
    for call in calls.values():
        call()
    costs: dict[str, list[Cost]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            costs[name].append(cost_of(call))
    return costs


def median_cost(costs: Sequence[Cost]) -> Cost:
    """The median of the wall seconds and of the processor seconds: one slow run does not move them."""
    return Cost(median(cost.wall_s for cost in costs), median(cost.cpu_s for cost in costs))
