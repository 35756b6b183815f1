"""Wall and processor time of calls, measured alternately so that changes of the load affect all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

__all__ = ["Cost", "cost_of", "median_cost", "taking_turns"]


@dataclass(frozen=True, slots=True)
class Cost:
    """Wall seconds, and processor seconds over all threads of this process."""

    wall_s: float
    cpu_s: float

    @property
    def cores(self) -> float:
        """Cores in use on average: fewer than threads where it waits or the machine is busy."""
        return self.cpu_s / self.wall_s


def cost_of(call: Callable[[], object]) -> Cost:
    """The cost of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def taking_turns(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[Cost]]:
    """Costs of each call over `rounds` rounds A B C, A B C, ... after one warm-up round."""
    for call in calls.values():
        call()
    costs: dict[str, list[Cost]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            costs[name].append(cost_of(call))
    return costs


def median_cost(costs: Sequence[Cost]) -> Cost:
    """The medians of wall and processor seconds."""
    return Cost(median(cost.wall_s for cost in costs), median(cost.cpu_s for cost in costs))
