"""The stages before the network, each alone on one core: decoding, resampling, the front end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from birdwatch.audio.file import AudioFile
from birdwatch.audio.resample import Resampler
from birdwatch.bench.report import Measure
from birdwatch.bench.timing import median_cost, taking_turns
from birdwatch.model.frontend import log_mel
from birdwatch.model.manifest import Manifest

__all__ = ["MEL_BATCH", "stage_measures"]

# Windows per call of the front end.
MEL_BATCH = 8


def stage_measures(
    recordings: Mapping[str, Path], manifest: Manifest, *, seconds: float, hop_s: float, rounds: int
) -> tuple[list[Measure], dict[str, float]]:
    """Figures of each stage, and by stage the processor seconds per hop of audio (per window scored)."""
    calls: dict[str, Callable[[], object]] = {
        f"decode {kind}": partial(_decode, path) for kind, path in recordings.items()
    }
    calls["resample"] = _resampling(recordings["wav"], manifest.rate_hz)
    if manifest.frontend is not None and manifest.input == "mel":
        spec = manifest.frontend
        rng = np.random.default_rng(2)
        windows = rng.normal(0.0, 0.1, (MEL_BATCH, spec.window_frames)).astype(np.float32)
        calls["mel"] = lambda: log_mel(windows, spec)
    costs = {name: median_cost(each) for name, each in taking_turns(calls, rounds).items()}
    measures: list[Measure] = []
    per_window: dict[str, float] = {}
    for name, cost in costs.items():
        if name == "mel":
            per_window[name] = cost.cpu_s / MEL_BATCH
            measure = Measure("stage.mel", 1e3 * cost.wall_s / MEL_BATCH, "ms per window", "lower")
        else:
            per_window[name] = cost.cpu_s * hop_s / seconds
            measure = Measure(f"stage.{name}", seconds / cost.wall_s, "x real time", "higher")
        measures.append(replace(measure, note=f"{1e3 * per_window[name]:.2f} ms of one core per window"))
    return measures, per_window


def _decode(path: Path) -> None:
    for _ in AudioFile(path).blocks():
        pass


def _resampling(path: Path, rate_hz: int) -> Callable[[], None]:
    audio = AudioFile(path)
    blocks = list(audio.blocks())

    def resample() -> None:
        resampler = Resampler(audio.rate_hz, rate_hz)
        for block in blocks:
            resampler.push(block)
        resampler.finish()

    return resample
