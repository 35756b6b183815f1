"""Simulates a run of a thousand workers over petabytes from rates that were measured (benchmarks/cluster_rates.py).

usage: python benchmarks/cluster_simulation.py [--workers 1000] [--petabytes 10] [--unit-s 30 120 600] \
           --scheduler-ms 1.5 --driver-ms 3 [--recording-h 1] [--share 100]

What is modelled: units of equal estimated work whose real work varies (log-normal, 25 %), a twentieth of the workers at
half speed, each worker preempted every 4 h on average and back 5 min later (the unit it had is lost), and a scheduler
and a driver that need milliseconds of a processor for a unit and for a recording: both serve in turn, so that a queue
forms where they are too slow. Prints a table: hours, efficiency (useful work / (workers x hours)), and how
busy the scheduler and the driver are. `--share N` simulates one Nth of the units, with all workers.
"""

from __future__ import annotations

import argparse
import heapq
import random
from dataclasses import dataclass

# FLAC of 48 kHz, 16 bits, one channel, at half the size of wav; times real time of a worker of one core.
BYTES_PER_HOUR = 172.8e6
TIMES_REAL_TIME = 300.0


@dataclass(frozen=True)
class Load:
    """What is simulated. Times in seconds."""

    workers: int = 1000
    units: int = 10_000
    unit_s: float = 120.0
    spread: float = 0.25
    slow_share: float = 0.05
    slow_factor: float = 2.0
    preempted_every_s: float = 4 * 3600.0
    back_after_s: float = 300.0
    scheduler_s: float = 0.0015
    driver_s: float = 0.03
    seed: int = 1


@dataclass(frozen=True)
class Outcome:
    wall_s: float
    useful_s: float
    lost_s: float
    efficiency: float
    # While all workers have work: without the wait for the last ones.
    steady_efficiency: float
    scheduler_busy: float
    driver_busy: float
    preemptions: int


class Server:
    """One processor that serves requests in turn."""

    def __init__(self, service_s: float) -> None:
        self.service_s, self.free_at, self.busy_s = service_s, 0.0, 0.0

    def serve(self, now: float) -> float:
        """When a request that arrives now is done."""
        self.free_at = max(now, self.free_at) + self.service_s
        self.busy_s += self.service_s
        return self.free_at


def simulate(load: Load) -> Outcome:
    """Run the units through the workers.

    Work is counted in seconds of an ordinary worker; a slow one takes longer for the same work.
    """
    rng = random.Random(load.seed)
    scheduler, driver = Server(load.scheduler_s), Server(load.driver_s)
    slow = load.workers * load.slow_share
    slowness = [load.slow_factor if number < slow else 1.0 for number in range(load.workers)]
    sizes = [load.unit_s * rng.lognormvariate(-(load.spread**2) / 2, load.spread) for _ in range(load.units)]
    waiting = list(reversed(sizes))
    ends = [rng.expovariate(1 / load.preempted_every_s) for _ in range(load.workers)]
    # Each worker's next turn, and whether it hands over a finished unit then.
    free = [(0.0, worker, False) for worker in range(load.workers)]
    heapq.heapify(free)
    lost = wall = steady = 0.0
    preemptions = 0
    # Lost work comes back to the queue only when its worker is seen to be dead.
    back: list[tuple[float, float]] = []
    capacity = sum(1 / slow for slow in slowness)
    while waiting or back:
        now, worker, finished = heapq.heappop(free)
        if finished:
            wall = driver.serve(now)
        while back and (back[0][0] <= now or not waiting):
            at, work = heapq.heappop(back)
            now = max(now, at)
            waiting.append(work)
        work = waiting.pop()
        begins = scheduler.serve(now)
        done = begins + work * slowness[worker]
        if not waiting and not steady:
            steady = now
        if done > ends[worker] and begins < ends[worker]:
            preemptions += 1
            lost += (ends[worker] - begins) / slowness[worker]
            heapq.heappush(back, (ends[worker], work))
        if done > ends[worker]:
            if begins >= ends[worker]:
                waiting.append(work)
            again = ends[worker] + load.back_after_s
            ends[worker] = again + rng.expovariate(1 / load.preempted_every_s)
            heapq.heappush(free, (again, worker, False))
            continue
        heapq.heappush(free, (done, worker, True))
    while free:
        now, _, finished = heapq.heappop(free)
        if finished:
            wall = driver.serve(now)
    useful, in_steady = sum(sizes), sum(sizes[: -load.workers])
    return Outcome(
        wall,
        useful,
        lost,
        useful / (capacity * wall),
        min(1.0, in_steady / (capacity * steady)) if steady else 0.0,
        scheduler.busy_s / wall,
        driver.busy_s / wall,
        preemptions,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--petabytes", type=float, default=10.0)
    parser.add_argument("--unit-s", type=float, nargs="+", default=[30.0, 120.0, 600.0])
    parser.add_argument("--scheduler-ms", type=float, required=True, help="processor time of the scheduler per unit")
    parser.add_argument("--driver-ms", type=float, required=True, help="processor time of the driver per recording")
    parser.add_argument("--recording-h", type=float, default=1.0, help="hours of audio in a recording")
    parser.add_argument("--share", type=float, default=100.0)
    options = parser.parse_args()
    hours = options.petabytes * 1e15 / BYTES_PER_HOUR
    print(f"{options.petabytes:g} PB are {hours:.3g} h of audio, {hours / TIMES_REAL_TIME:.3g} worker hours.")
    print()
    print("| unit | days | efficiency | steady | lost to preemption | scheduler busy | driver busy |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for unit_s in options.unit_s:
        units = int(hours * 3600 / TIMES_REAL_TIME / unit_s / options.share)
        recordings = unit_s * TIMES_REAL_TIME / 3600 / options.recording_h
        load = Load(
            workers=options.workers,
            units=units,
            unit_s=unit_s,
            scheduler_s=options.scheduler_ms / 1000,
            driver_s=options.driver_ms / 1000 * recordings,
        )
        out = simulate(load)
        print(
            f"| {unit_s:g} s | {out.wall_s * options.share / 86400:.2f} | {out.efficiency:.3f} | "
            f"{out.steady_efficiency:.3f} | {out.lost_s / out.useful_s:.2%} | {out.scheduler_busy:.2%} | "
            f"{out.driver_busy:.2%} |"
        )


if __name__ == "__main__":
    main()
