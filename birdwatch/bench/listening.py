"""The cost of listening: a real `birdwatch listen` on a recording in real time, and a subscriber to it."""

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

# A short run costs start, model loading and shutdown; what a long run costs beyond it is listening.
START_S = 5.0


def listening_measures(*, model: Path, provider: str, seconds: float, start_s: float = START_S) -> list[Measure]:
    """Listen for `seconds`, compared with a run of `start_s`, and read the station's status. Raises InferenceError."""
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
    listened_s = seconds - start_s
    share = 100 * (long.cpu_s - short.cpu_s) / listened_s
    measures = [Measure("listen.cpu", share, "% of one core", "lower", f"over {listened_s:g} s, a window each hop")]
    if long.memory_bytes is not None:
        measures.append(Measure("listen.memory", long.memory_bytes / 1e6, "MB", "lower", "peak resident"))
    for which, value in (last.get("latency_ms") or {}).items():
        if value is not None:
            note = "from the end of a window to its messages, from the station's status"
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
    arguments = [str(word) for option in options.items() for word in option]
    cost = child_cost([sys.executable, "-m", "birdwatch", "listen", "--realtime", *arguments])
    if cost.status:
        raise InferenceError(f"`birdwatch listen` ended with {cost.status} in the benchmark: {cost.stderr.strip()}")
    return cost
