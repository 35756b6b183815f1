"""Measures scoring of files relative to the network alone, latency of one window, and whole processes."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from birdwatch.audio.file import AudioFile
from birdwatch.bench.child import ChildCost, child_cost
from birdwatch.bench.network import BareNetwork, inputs
from birdwatch.bench.report import Measure
from birdwatch.bench.timing import Cost, median_cost, taking_turns
from birdwatch.config.policy import scoring_policy
from birdwatch.config.schema import Settings
from birdwatch.errors import InferenceError
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.scores.pipeline import score_recording

__all__ = ["latency_measures", "process_measures", "whole_measures"]


def whole_measures(
    recordings: Mapping[str, Path],
    classifier: OnnxClassifier,
    bare: BareNetwork,
    *,
    seconds: float,
    hop_s: float,
    rounds: int,
    work_s: Mapping[str, float],
) -> list[Measure]:
    """End to end by format, in turns with the network alone at its fastest setting, whose rate is the bound.

    work_s: processor seconds per window of each stage, and of `network` where it runs on a CPU.
    """
    scored = 0
    policy = scoring_policy(Settings(), classifier, week=None)

    def whole(path: Path) -> None:
        nonlocal scored
        audio = AudioFile(path)
        scored = len(
            score_recording(path.stem, audio.blocks(), classifier, policy, rate_hz=audio.rate_hz, hop_s=hop_s).windows
        )

    # About as many windows for the network alone as end to end.
    runs = max(1, round(seconds / hop_s / bare.batch / bare.at_once))
    values = inputs(classifier.manifest, bare.batch)
    calls = {kind: partial(whole, path) for kind, path in recordings.items()}
    turns = taking_turns({"bare": partial(bare.run, values, runs), **calls}, rounds)
    bare_rates = [runs * bare.batch * bare.at_once / cost.wall_s for cost in turns["bare"]]
    measures = [
        Measure(
            "whole.bound",
            median(bare_rates),
            "windows/s",
            "higher",
            f"the network alone, {bare.name}, {median_cost(turns['bare']).cores:.2f} cores busy",
        )
    ]
    for kind in recordings:
        cost = median_cost(turns[kind])
        share = median(scored / each.wall_s / rate for each, rate in zip(turns[kind], bare_rates, strict=True))
        measures += [
            Measure(f"whole.{kind}", scored / cost.wall_s, "windows/s", "higher", _note(cost, seconds, scored)),
            Measure(f"whole.{kind} share", share, "of the bound", "higher"),
        ]
        if "network" in work_s:
            before_s = sum(work_s.get(stage, 0.0) for stage in (f"decode {kind}", "resample", "mel"))
            measures.append(
                Measure(
                    f"whole.{kind} cpu share",
                    work_s["network"] * scored / cost.cpu_s,
                    "of the processor time",
                    "higher",
                    f"is the network itself, {1e3 * work_s['network']:.2f} ms per window; "
                    f"the stages before it cost {1e3 * before_s:.2f} ms",
                )
            )
    return measures


def _note(cost: Cost, seconds: float, windows: int) -> str:
    return (
        f"{seconds / cost.wall_s:.0f} x real time, {1e3 * cost.cpu_s / windows:.2f} ms of one core per window, "
        f"{cost.cores:.2f} cores busy"
    )


def latency_measures(classifier: OnnxClassifier, *, calls: int = 50) -> list[Measure]:
    """Milliseconds from one window of samples to its scores: the latency of a detection when listening."""
    rng = np.random.default_rng(4)
    window = rng.normal(0.0, 0.1, (1, classifier.manifest.window_frames)).astype(np.float32)
    classifier.score(window)
    times_ms = []
    for _ in range(calls):
        began = time.perf_counter()
        classifier.score(window)
        times_ms.append(1e3 * (time.perf_counter() - began))
    return [
        Measure("latency.median", median(times_ms), "ms", "lower", "one window of samples to its scores"),
        Measure("latency.p95", float(np.percentile(times_ms, 95)), "ms", "lower"),
    ]


def process_measures(
    recording: Path, short: Path, *, model: Path, provider: str, seconds: float, rounds: int
) -> list[Measure]:
    """`birdwatch run` as a whole process: on ten seconds of audio, and on a long recording."""
    starts = [_run(short, model=model, provider=provider) for _ in range(rounds + 1)][1:]
    long = _run(recording, model=model, provider=provider)
    rate = Measure("process.recording", seconds / long.wall_s, "x real time", "higher", f"{long.wall_s:.1f} s")
    measures = [
        Measure("process.10 s file", median(cost.wall_s for cost in starts), "s", "lower", "whole process"),
        Measure("process.10 s file cpu", median(cost.cpu_s for cost in starts), "s", "lower"),
        rate,
    ]
    if long.memory_bytes is not None:
        measures.append(Measure("process.memory", long.memory_bytes / 1e6, "MB", "lower", "peak resident"))
    return measures


def _run(recording: Path, *, model: Path, provider: str) -> ChildCost:
    out = recording.with_name(f"{recording.stem}.csv")
    command = [sys.executable, "-m", "birdwatch", "run", recording, "--out", out, "--model", model]
    cost = child_cost([*map(str, command), "--provider", provider])
    if cost.status:
        raise InferenceError(f"`birdwatch run` ended with {cost.status} in the benchmark: {cost.stderr.strip()}")
    return cost
