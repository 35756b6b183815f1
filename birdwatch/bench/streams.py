"""How many live streams this machine can process: a real `birdwatch listen` with more and more real connections.

A number is carried where nothing is dropped or lost and 95 % of the windows are published within half a second. The
streams begin at moments spread over a hop, as those of independent recorders do. One class is detected in every window,
so that each has a message whose delay is known.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from birdwatch.bench.report import Measure
from birdwatch.bench.stream_audio import Codec, write_stream
from birdwatch.errors import InferenceError
from birdwatch.messaging.subscriber import Subscriber
from birdwatch.process import cores

__all__ = ["Carried", "Daemon", "streams_measures"]

# Maximum latency of a message from the end of its window.
P95_MS = 500.0
# Connecting and the first windows are not steady yet.
SETTLE_S = 12.0
# Precision of the search for the largest number.
STEP = 1.1
START_DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True)
class Carried:
    """What a trial with `streams` came to.

    cpu and server_cpu are shares of one core: of the daemon, and of what feeds it. The rest is the daemon's.
    """

    streams: int
    listening: int
    dropped_s: float
    gap_s: float
    p95_ms: float
    cpu: float
    server_cpu: float
    memory_mb: float
    threads: int
    descriptors: int

    @property
    def passes(self) -> bool:
        """Whether the machine can process this many streams."""
        lost = self.dropped_s > 0 or self.gap_s > 0
        return self.listening == self.streams and not lost and self.p95_ms <= P95_MS


class Daemon(NamedTuple):
    """What the daemon is started with. code: of the class that is detected in every window."""

    model: Path
    provider: str
    code: str
    hop_s: float


def streams_measures(
    daemon: Daemon,
    *,
    seconds: float,
    codec: Codec,
    per_window_s: float,
    first: int,
    most: int,
    notify: Callable[[Carried], None] = lambda trial: None,
) -> tuple[list[Measure], list[Carried]]:
    """Figures and all trials. per_window_s: processor seconds of one window's stages alone, which make the bound.

    notify: is called with each trial.
    """
    bound = cores() * daemon.hop_s / per_window_s
    trials: list[Carried] = []
    with tempfile.TemporaryDirectory(prefix="birdwatch-bench-") as name:
        folder = Path(name)
        audio = write_stream(folder, codec, seconds + SETTLE_S + START_DEADLINE_S)

        def carries(count: int) -> bool:
            trials.append(_trial(folder, audio, count, daemon, seconds))
            notify(trials[-1])
            return trials[-1].passes

        best = _largest(carries, first=first, most=most)
    measures = [
        Measure("streams.carried", best, "streams", "higher", f"{codec} at 48 kHz, a window every {daemon.hop_s:g} s"),
        Measure("streams.bound", bound, "streams", "-", f"{cores()} cores, {1e3 * per_window_s:.2f} ms per window"),
        Measure("streams.share", best / bound, "of the bound", "higher"),
    ]
    passed = [trial for trial in trials if trial.streams == best and trial.passes]
    fewer = [trial for trial in trials if trial.streams < best and trial.passes]
    if passed:
        measures += _of_the_largest(passed[-1])
    if passed and fewer:
        measures += _of_each_more(passed[-1], min(fewer, key=lambda trial: trial.streams))
    return measures, trials


def _of_the_largest(trial: Carried) -> list[Measure]:
    return [
        Measure("streams.p95", trial.p95_ms, "ms", "lower", "from a window's end to its message"),
        Measure("streams.cpu", 100 * trial.cpu, "% of one core", "lower"),
        Measure("streams.server cpu", 100 * trial.server_cpu, "% of one core", "-", "the benchmark's own, beside it"),
    ]


def _of_each_more(many: Carried, few: Carried) -> list[Measure]:
    """The cost of one more stream."""
    more = many.streams - few.streams
    return [
        Measure("streams.memory", (many.memory_mb - few.memory_mb) / more, "MB per stream", "lower"),
        Measure("streams.threads", (many.threads - few.threads) / more, "per stream", "lower"),
        Measure("streams.descriptors", (many.descriptors - few.descriptors) / more, "per stream", "lower"),
    ]


def _largest(carries: Any, *, first: int, most: int) -> int:
    """The largest number that `carries`, to within STEP: doubled until it fails, then halved between."""
    good, bad = 0, most + 1
    count = min(first, most)
    while good < most:
        if carries(count):
            good = count
        else:
            bad = count
        if bad <= most:
            if bad <= max(good + 1, good * STEP):
                break
            count = (good + bad) // 2
        else:
            count = min(2 * good, most)
        if count == good:
            break
    return good


def _trial(folder: Path, audio: Path, count: int, daemon: Daemon, seconds: float) -> Carried:
    """Listen to `count` streams for `seconds` after they have settled."""
    length_s = seconds + SETTLE_S + START_DEADLINE_S
    command = [sys.executable, "-m", "birdwatch.bench.stream_server", str(audio), str(length_s), str(daemon.hop_s)]
    with _process(command) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        config, endpoint = _configured(
            folder, [f"http://127.0.0.1:{port}/{n}{audio.suffix}" for n in range(count)], daemon
        )
        command = [sys.executable, "-m", "birdwatch", "listen", "--config", str(config)]
        topics = ("birdwatch/1/status/", "birdwatch/1/detection/")
        with _process(command, stderr=folder / "log") as process, Subscriber(endpoint, topics) as ear:
            before = _Received()
            until = time.monotonic() + START_DEADLINE_S
            while len(before.listening) < count and time.monotonic() < until:
                if process.poll() is not None:
                    raise InferenceError(f"`birdwatch listen` ended: {(folder / 'log').read_text()[-500:]}")
                before.take(ear, 0.2)
            before.take(ear, SETTLE_S)
            began, pids = time.monotonic(), (process.pid, server.pid)
            cpu = [_cpu_s(pid) for pid in pids]
            after = _Received()
            after.take(ear, seconds)
            used = [(_cpu_s(pid) - then) / (time.monotonic() - began) for pid, then in zip(pids, cpu, strict=True)]
            threads = len(os.listdir(f"/proc/{process.pid}/task"))  # noqa: PTH208
            descriptors = len(os.listdir(f"/proc/{process.pid}/fd"))  # noqa: PTH208

    return Carried(
        streams=count,
        listening=len(after.listening),
        dropped_s=after.more_than(before, "dropped"),
        gap_s=after.more_than(before, "gap"),
        p95_ms=float(np.percentile(after.late_ms, 95)) if after.late_ms else 1e9,
        cpu=used[0],
        server_cpu=used[1],
        memory_mb=max((status["rss_mb"] for status in after.statuses.values()), default=0.0),
        threads=threads,
        descriptors=descriptors,
    )


def _configured(folder: Path, urls: Sequence[str], daemon: Daemon) -> tuple[Path, str]:
    """The daemon's configuration file, and where it publishes."""
    config, endpoint = folder / "streams.toml", f"ipc://{folder}/streams"
    settings = [
        f'model = "{daemon.model}"',
        f'provider = "{daemon.provider}"',
        f'bind = "{endpoint}"',
        'replay_bind = "off"',
        "journal_max_mb = 0",
        f"hop = {daemon.hop_s}",
        "threshold = 1.0",
        f"[class.{json.dumps(daemon.code)}]",
        "threshold = 0.0",
    ]
    tables = [f'[source.s{number}]\nurl = "{url}"' for number, url in enumerate(urls)]
    config.write_text("\n".join([*settings, *tables, ""]))
    return config, endpoint


@dataclass(slots=True)
class _Received:
    """The newest status of each station, and how long after each window's end its message was sent, in ms."""

    statuses: dict[str, Any] = field(default_factory=dict)
    late_ms: list[float] = field(default_factory=list)

    @property
    def listening(self) -> list[str]:
        """The stations that listen."""
        return [name for name, status in self.statuses.items() if status["state"] == "listening"]

    def take(self, subscriber: Subscriber, seconds: float) -> None:
        """Receive for so long."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if (received := subscriber.receive(min(left, 0.2))) is not None:
                message = json.loads(received[1])
                if message["kind"] == "status":
                    self.statuses[message["station"]] = message
                else:
                    late = datetime.fromisoformat(message["sent"]) - datetime.fromisoformat(message["end"])
                    self.late_ms.append(1e3 * late.total_seconds())

    def more_than(self, before: _Received, name: str) -> float:
        """Seconds of a kind in all stations' accounts that were not there before."""
        first = {station: before.statuses.get(station, status) for station, status in self.statuses.items()}
        return float(
            sum(status["seconds"][name] - first[one]["seconds"][name] for one, status in self.statuses.items())
        )


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _process(command: list[str], *, stderr: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    with (stderr or Path(os.devnull)).open("wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
