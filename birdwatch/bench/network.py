"""The network alone, on ready-made inputs. Its fastest setting is the upper bound for everything else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from birdwatch.audio.types import FloatArray
from birdwatch.bench.report import Measure
from birdwatch.bench.timing import median_cost, taking_turns
from birdwatch.model.manifest import Manifest
from birdwatch.model.session import CPU, LANES, DeviceNetwork, HostNetwork, cuda_network, open_session
from birdwatch.process import cores

__all__ = ["BareNetwork", "network_measures"]

CPU_BATCHES = (1, 2, 4, 8)
CUDA_BATCHES = (1, 16, 64, 256)


@dataclass(frozen=True, slots=True)
class BareNetwork:
    """A setting of the network: `at_once` concurrent runs, each with `threads` threads and `batch` windows."""

    network: HostNetwork | DeviceNetwork
    output: str
    batch: int
    at_once: int
    threads: int

    @property
    def name(self) -> str:
        """The setting in a few words."""
        side = f"{self.at_once} x {self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"batch {self.batch}, {side if self.network.provider == CPU else 'cuda'}"

    def run(self, values: FloatArray, runs: int) -> None:
        """Run `runs` batches in each of the concurrent runs."""
        with ThreadPoolExecutor(self.at_once) as pool:
            list(pool.map(lambda _: [self.network.run(self.output, values) for _ in range(runs)], range(self.at_once)))


def bare_networks(data: bytes, path: Path, manifest: Manifest, *, provider: str) -> list[BareNetwork]:
    """The settings worth comparing on a provider: batch sizes, one or many threads, one or several concurrent runs."""
    way = partial(BareNetwork, output=manifest.scores_output)
    if provider != CPU:
        return [
            way(network=cuda_network(data, path, batch), batch=batch, at_once=LANES, threads=1)
            for batch in CUDA_BATCHES
        ]
    one = HostNetwork(open_session(data, path))
    batches = CPU_BATCHES if one.batch is None else (one.batch,)
    ways = [way(network=one, batch=batch, at_once=1, threads=1) for batch in batches]
    if cores() > 1:
        ways += [way(network=one, batch=batch, at_once=cores(), threads=1) for batch in batches]
        many = HostNetwork(open_session(data, path, threads=cores()))
        ways += [way(network=many, batch=batch, at_once=1, threads=cores()) for batch in batches]
    return ways


def inputs(manifest: Manifest, batch: int) -> FloatArray:
    """Random inputs of the form that the model takes."""
    spec = manifest.frontend
    shape = (1, spec.height, spec.width) if spec is not None and manifest.input == "mel" else (manifest.window_frames,)
    return np.random.default_rng(3).random((batch, *shape), np.float32)


def network_measures(
    data: bytes, path: Path, manifest: Manifest, *, provider: str, rounds: int, windows: int = 16
) -> tuple[list[Measure], BareNetwork, float]:
    """Figures of every setting, the fastest one, and processor seconds per window of the best single thread.

    windows: how many windows each run scores before the next setting has its turn.
    """
    ways = bare_networks(data, path, manifest, provider=provider)
    calls = {way.name: partial(way.run, inputs(manifest, way.batch), max(1, windows // way.batch)) for way in ways}
    costs = {name: median_cost(each) for name, each in taking_turns(calls, rounds).items()}
    measures, rates = [], []
    for way in ways:
        cost = costs[way.name]
        count = way.batch * max(1, windows // way.batch) * way.at_once
        rates.append(count / cost.wall_s)
        note = f"{1e3 * cost.cpu_s / count:.2f} ms of one core per window, {cost.cores:.2f} cores busy"
        measures.append(Measure(f"network.{way.name}", rates[-1], "windows/s", "higher", note))
    # On a busy machine one thread may look as fast as all: the bound is taken from settings that use all cores.
    whole = [way.at_once * way.threads >= cores() or way.network.provider != CPU for way in ways]
    best = ways[int(np.argmax(np.where(whole, rates, 0.0)))]
    single = [
        costs[way.name].cpu_s / (way.batch * max(1, windows // way.batch))
        for way in ways
        if way.at_once * way.threads == 1
    ]
    return measures, best, min(single, default=0.0)
