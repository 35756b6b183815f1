"""How many live streams this machine carries: a real `birdwatch listen` on more and more real connections.

A number is carried where nothing is dropped or lost and 95 % of the windows are published within half a second.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import soundfile

from birdwatch.bench.report import Measure
from birdwatch.errors import InferenceError
from birdwatch.messaging.subscriber import Subscriber
from birdwatch.process import cores

__all__ = ["Carried", "Codec", "streams_measures"]

Codec = Literal["pcm", "opus"]
RATE_HZ = 48000
# What a message may take from the end of its window.
P95_MS = 500.0
# Connecting and the first windows are not steady yet.
SETTLE_S = 12.0
# How close the largest number is looked for.
STEP = 1.1
START_DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True)
class Carried:
    """What a trial with `streams` came to; cpu is the share of one core, memory and threads are the daemon's."""

    streams: int
    listening: int
    dropped_s: float
    gap_s: float
    p95_ms: float
    cpu: float
    memory_mb: float
    threads: int
    descriptors: int

    @property
    def passes(self) -> bool:
        """Whether the machine carries so many."""
        lost = self.dropped_s > 0 or self.gap_s > 0
        return self.listening == self.streams and not lost and self.p95_ms <= P95_MS


def streams_measures(
    *,
    model: Path,
    provider: str,
    seconds: float,
    codec: Codec,
    per_window_s: float,
    hop_s: float,
    first: int,
    most: int,
) -> tuple[list[Measure], list[Carried]]:
    """Figures and all trials. per_window_s: processor seconds of one window's stages alone, which make the bound."""
    bound = cores() * hop_s / per_window_s
    trials: list[Carried] = []
    with tempfile.TemporaryDirectory(prefix="birdwatch-bench-") as name:
        folder = Path(name)
        audio = _write(folder, codec, seconds + SETTLE_S + START_DEADLINE_S)

        def carries(count: int) -> bool:
            trials.append(_trial(folder, audio, count, model=model, provider=provider, seconds=seconds))
            return trials[-1].passes

        best = _largest(carries, first=first, most=most)
    measures = [
        Measure("streams.carried", best, "streams", "higher", f"{codec} at 48 kHz, a window every {hop_s:g} s"),
        Measure("streams.bound", bound, "streams", "-", f"{cores()} cores, {1e3 * per_window_s:.2f} ms per window"),
        Measure("streams.share", best / bound, "of the bound", "higher"),
    ]
    passed = [trial for trial in trials if trial.streams == best and trial.passes]
    alone = [trial for trial in trials if trial.passes and trial.streams < best]
    if passed:
        measures.append(Measure("streams.p95", passed[-1].p95_ms, "ms", "lower", "worst stream"))
        measures.append(Measure("streams.cpu", 100 * passed[-1].cpu, "% of one core", "lower"))
    if passed and alone:
        more = best - alone[0].streams
        per_stream_mb = (passed[-1].memory_mb - alone[0].memory_mb) / more
        measures.append(Measure("streams.memory", per_stream_mb, "MB per stream", "lower"))
        threads = (passed[-1].threads - alone[0].threads) / more
        descriptors = (passed[-1].descriptors - alone[0].descriptors) / more
        measures.append(Measure("streams.threads", threads, "per stream", "lower"))
        measures.append(Measure("streams.descriptors", descriptors, "per stream", "lower"))
    return measures, trials


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


def _write(folder: Path, codec: Codec, seconds: float) -> Path:
    """Noise with a chirp, so that no window is silent."""
    rng = np.random.default_rng(4)
    second = (rng.normal(0, 0.05, RATE_HZ) + 0.2 * np.sin(np.cumsum(np.linspace(0.2, 0.8, RATE_HZ)))).astype(np.float32)
    path = folder / ("stream.ogg" if codec == "opus" else "stream.wav")
    form, subtype = ("OGG", "OPUS") if codec == "opus" else ("WAV", "PCM_16")
    with soundfile.SoundFile(path, "w", samplerate=RATE_HZ, channels=1, format=form, subtype=subtype) as sound:
        for _ in range(round(seconds)):
            sound.write(second)
    return path


def _trial(folder: Path, audio: Path, count: int, *, model: Path, provider: str, seconds: float) -> Carried:
    """Listen to `count` streams for `seconds` after they have settled."""
    length_s = seconds + SETTLE_S + START_DEADLINE_S
    with _process([sys.executable, "-m", "birdwatch.bench.stream_server", str(audio), str(length_s)]) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        config, endpoint = folder / "streams.toml", f"ipc://{folder}/streams"
        tables = [f'[source.s{n}]\nurl = "http://127.0.0.1:{port}/{n}{audio.suffix}"\n' for n in range(count)]
        settings = f'model = "{model}"\nprovider = "{provider}"\nbind = "{endpoint}"\nreplay_bind = "off"\n'
        config.write_text(f"{settings}journal_max_mb = 0\n" + "".join(tables))
        command = [sys.executable, "-m", "birdwatch", "listen", "--config", str(config)]
        with _process(command, stderr=folder / "log") as daemon, Subscriber(endpoint, ("birdwatch/1/status/",)) as ear:
            before: dict[str, Any] = {}
            until = time.monotonic() + START_DEADLINE_S
            while len(_listening(before)) < count and time.monotonic() < until:
                if daemon.poll() is not None:
                    raise InferenceError(f"`birdwatch listen` ended: {(folder / 'log').read_text()[-500:]}")
                _take(ear, before, 0.2)
            _take(ear, before, SETTLE_S)
            began, cpu = time.monotonic(), _cpu_s(daemon.pid)
            after: dict[str, Any] = {}
            _take(ear, after, seconds)
            used = (_cpu_s(daemon.pid) - cpu) / (time.monotonic() - began)
            memory_mb = max((status["rss_mb"] for status in after.values()), default=0.0)
            threads = len(os.listdir(f"/proc/{daemon.pid}/task"))  # noqa: PTH208
            descriptors = len(os.listdir(f"/proc/{daemon.pid}/fd"))  # noqa: PTH208

    def change(name: str) -> float:
        first = {station: before.get(station, status) for station, status in after.items()}
        return float(sum(after[one]["seconds"][name] - first[one]["seconds"][name] for one in after))

    return Carried(
        streams=count,
        listening=len(_listening(after)),
        dropped_s=change("dropped"),
        gap_s=change("gap"),
        p95_ms=max((status["latency_ms"]["p95"] or 1e9 for status in after.values()), default=1e9),
        cpu=used,
        memory_mb=memory_mb,
        threads=threads,
        descriptors=descriptors,
    )


def _listening(statuses: dict[str, Any]) -> list[str]:
    return [name for name, status in statuses.items() if status["state"] == "listening"]


def _take(ear: Subscriber, statuses: dict[str, Any], seconds: float) -> None:
    """Keep the newest status of each station."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if (message := ear.receive(min(left, 0.2))) is not None:
            status = json.loads(message[1])
            statuses[status["station"]] = status


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
