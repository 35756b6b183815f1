"""Evaluates a checkpoint on labelled recordings, and writes the tables of an evaluation."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from birdwatch.audio.types import FloatArray
from birdwatch.errors import ConfigError
from birdwatch.evaluation.metrics import average_precision, precision_recall, roc_auc
from birdwatch.model.types import WindowScores
from birdwatch.wording import listed

from .dataset import Recording, read_folder, read_table, with_codes
from .ensemble import Ensemble
from .predictions import Predictions, metrics_of
from .progress import tracked
from .tables import write_json, write_table
from .windows import Source

__all__ = ["Say", "evaluate_recordings", "held_out_recordings", "recordings_of", "score_files", "write_results"]

Say = Callable[[str], None]


def evaluate_recordings(
    ensemble: Ensemble,
    recordings: Sequence[Recording],
    *,
    hop_s: float,
    out: Path | None,
    say: Say,
    quiet: bool = False,
) -> dict[str, float | None]:
    """Metrics of labelled recordings, by window and by recording, as the daemon scores them."""
    codes = ensemble.manifest.codes
    recordings = with_codes(recordings, ensemble.manifest.labels)
    index = {code: number for number, code in enumerate(codes)}
    unknown = sorted({recording.label for recording in recordings} - set(codes))
    if unknown:
        raise ConfigError(f"the checkpoint lacks {len(unknown)} labels of the recordings: {listed(unknown)}")
    windows = score_files(ensemble, [recording.path for recording in recordings], hop_s=hop_s, quiet=quiet)
    with_secondary = ensemble.checkpoint.config.get("secondary", "used") == "used"
    sources = []
    for recording in recordings:
        codes_present = dict.fromkeys([recording.label, *(recording.secondary if with_secondary else ())])
        present = tuple(index[code] for code in codes_present if code in index)
        sources.append(Source(recording.path, recording.filename, 0, present))
    predictions = Predictions(
        np.stack([window.scores for scored in windows for window in scored]),
        np.repeat(np.arange(len(windows)), [len(scored) for scored in windows]),
        np.array([window.start_frame / ensemble.manifest.rate_hz for scored in windows for window in scored]),
    )
    metrics = metrics_of(predictions, sources)
    highest = np.stack([np.max([window.scores for window in scored], axis=0) for scored in windows])
    truth = np.zeros(highest.shape, np.bool_)
    for row, item in zip(truth, sources, strict=True):
        row[list(item.labels)] = True
    say(f"{len(recordings)} recordings, {len(predictions.scores)} windows")
    for name, value in metrics.items():
        say(f"  {name:<20} {'-' if value is None else format(value, '.4f')}")
    write_results(ensemble, metrics, [recording.filename for recording in recordings], highest, truth, out)
    return metrics


def score_files(ensemble: Ensemble, paths: Sequence[Path], *, hop_s: float, quiet: bool) -> list[list[WindowScores]]:
    """The windows of each file, which all have some."""
    progress = tracked(paths, len(paths), "scoring", quiet=quiet)
    return [ensemble.score_file(path, hop_s=hop_s) for path in progress]


def write_results(
    ensemble: Ensemble,
    metrics: dict[str, float | None],
    names: Sequence[str],
    scores: FloatArray,
    truth: npt.NDArray[np.bool_],
    out: Path | None,
) -> None:
    """metrics.json, classes.csv and scores.csv in the folder `out`, which is made; nothing without one."""
    if out is None:
        return
    out.mkdir(parents=True, exist_ok=True)
    limits = np.array([ensemble.manifest.threshold_of(code) for code in ensemble.manifest.codes], np.float32)
    precision, recall = precision_recall(scores, truth, limits)
    columns: dict[str, npt.NDArray[np.floating]] = {
        "auc": roc_auc(scores, truth),
        "average_precision": average_precision(scores, truth),
        "threshold": limits,
        "precision": precision,
        "recall": recall,
    }
    classes: list[dict[str, Any]] = [
        {"label": code, "positives": int(truth[:, i].sum())}
        | {name: None if np.isnan(values[i]) else round(float(values[i]), 6) for name, values in columns.items()}
        for i, code in enumerate(ensemble.manifest.codes)
    ]
    write_json(out / "metrics.json", metrics)
    write_table(out / "classes.csv", classes)
    write_table(
        out / "scores.csv",
        [
            {"row_id": name} | {code: f"{v:.6f}" for code, v in zip(ensemble.manifest.codes, row.tolist(), strict=True)}
            for name, row in zip(names, scores, strict=True)
        ],
    )


@dataclass(frozen=True, slots=True)
class HeldOut:
    """recordings to evaluate on, and how many of them the checkpoint was trained on (None: unknown)."""

    recordings: list[Recording]
    trained_on: int | None


def held_out_recordings(checkpoint: Path, fold: str, recordings: Sequence[Recording], *, only: bool) -> HeldOut:
    """With `only`, the recordings that `folds.csv` of the checkpoint's run folder holds out of its fold."""
    if only and checkpoint.is_dir():
        raise ConfigError("--held-out evaluates one fold; give its checkpoint, such as fold0/best.pt")
    table = checkpoint.parent.parent / "folds.csv"
    if not table.is_file():
        if only:
            raise ConfigError(f"--held-out needs {table}, which `fit` wrote; it is not there")
        return HeldOut(list(recordings), None)
    with table.open(encoding="utf-8", newline="") as stream:
        held_out = {row["filename"]: row["fold"] == fold for row in csv.DictReader(stream)}
    if only:
        recordings = [recording for recording in recordings if held_out.get(recording.filename)]
        if not recordings:
            raise ConfigError(f"{table} holds none of these recordings out of fold {fold}")
    return HeldOut(list(recordings), sum(held_out.get(recording.filename) is False for recording in recordings))


def recordings_of(data: str, audio_root: str) -> list[Recording]:
    """The labelled recordings that the options name."""
    if not audio_root:
        raise ConfigError("give --audio-root (and --data), or --soundscapes and --truth")
    return read_table(Path(data), Path(audio_root)) if data else read_folder(Path(audio_root))
