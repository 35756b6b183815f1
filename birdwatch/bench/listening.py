"""What listening costs: a real `birdwatch listen` on a recording at the speed it sounds, and a subscriber to it."""

from __future__ import annotations

import json
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from birdwatch.bench.child import ChildCost, child_cost
from birdwatch.bench.recording import write_recordings
from birdwatch.bench.report import Measure
from birdwatch.errors import InferenceError
from birdwatch.messaging.subscriber import Subscriber

__all__ = ["listening_measures"]

# What this run costs is start, model and end; the long run's cost above it is the listening.
START_S = 5.0


def listening_measures(*, model: Path, provider: str, seconds: float, start_s: float = START_S) -> list[Measure]:
    """Listen for `seconds` beside a run of `start_s`, and read the station's status. Raises InferenceError."""
    with tempfile.TemporaryDirectory(prefix="birdwatch-bench-") as name:
        folder = Path(name)
        endpoint = f"ipc://{folder}/station"
        short = _listen(folder, start_s, endpoint, model=model, provider=provider)
        with Subscriber(endpoint, ("birdwatch/1/status/",)) as subscriber, ThreadPoolExecutor(1) as pool:
            running = pool.submit(_listen, folder, seconds, endpoint, model=model, provider=provider)
            last: dict[str, Any] = {}
            while not running.done():
                if (message := subscriber.receive(0.2)) is not None:
                    last = json.loads(message[1])
            long = running.result()
            while (message := subscriber.receive(0.0)) is not None:
                last = json.loads(message[1])
    heard_s = seconds - start_s
    share = 100 * (long.cpu_s - short.cpu_s) / heard_s
    measures = [Measure("listen.cpu", share, "% of one core", "lower", f"over {heard_s:g} s, a window each hop")]
    if long.memory_bytes is not None:
        measures.append(Measure("listen.memory", long.memory_bytes / 1e6, "MB", "lower", "resident at most"))
    for which, value in (last.get("latency_ms") or {}).items():
        if value is not None:
            note = "from a window's end to its messages, as the station's status says"
            measures.append(Measure(f"listen.latency {which}", float(value), "ms", "lower", note))
    if last.get("windows"):
        measures.append(Measure("listen.windows", float(last["windows"]), "windows", "-", "scored in that time"))
    return measures


def _listen(folder: Path, seconds: float, endpoint: str, *, model: Path, provider: str) -> ChildCost:
    recording = write_recordings(folder, seconds)["wav"]
    options = {
        "--source": recording,
        "--model": model,
        "--provider": provider,
        "--bind": endpoint,
        "--replay-bind": "off",
        "--journal": folder / "journal",
    }
    words = [str(word) for option in options.items() for word in option]
    cost = child_cost([sys.executable, "-m", "birdwatch", "listen", "--realtime", *words])
    if cost.status:
        raise InferenceError(f"`birdwatch listen` ended with {cost.status} in the benchmark: {cost.said.strip()}")
    return cost
