"""The results of a run: out-of-fold scores, metrics, thresholds, the table of classes, learning curves and a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from birdwatch.audio.types import FloatArray
from birdwatch.checkpoint.file import load_tensors, read_checkpoint, save_checkpoint
from birdwatch.evaluation.bootstrap import group_interval
from birdwatch.evaluation.metrics import (
    average_precision,
    macro,
    precision_recall,
    recording_scores,
    roc_auc,
)
from birdwatch.evaluation.thresholds import Thresholds, choose_thresholds

from .curves import draw_curves
from .folds import Split
from .gather import Data
from .predictions import Predictions, metrics_of, truth_of
from .report_text import line_of, report_text
from .reproducible import git_commit
from .settings import Settings
from .tables import load_predictions, write_json, write_table, write_text

__all__ = ["OutOfFold", "report", "threshold_values"]

# Resampling more recordings than this for the interval of the AUC takes minutes, and the interval is narrow then.
BOOTSTRAP_MOST = 5000
BOOTSTRAP_ROUNDS = 200


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """The held-out recordings of the finished folds.

    number `(recordings,)`: which of the data's; scores `(recordings, classes)`: the maximum over the windows; truth.
    """

    number: npt.NDArray[np.int64]
    scores: FloatArray
    truth: npt.NDArray[np.bool_]
    windows: Predictions


def report(settings: Settings, data: Data, parts: Split, out: Path, *, say: Callable[[str], None]) -> None:
    """Write oof.csv, classes.csv, thresholds.json, metrics.json, curves.png and report.md into the run folder `out`.

    From what the finished folds left there; the thresholds go into their checkpoints.
    """
    folders = {fold: out / f"fold{fold}" for fold in range(settings.folds) if finished(out / f"fold{fold}", settings)}
    if not folders:
        return
    held_out = out_of_fold(folders, data)
    thresholds = choose_thresholds(
        held_out.scores,
        held_out.truth,
        precision=settings.threshold_precision,
        least_positives=settings.threshold_positives,
    )
    own = threshold_values(thresholds, data.codes)
    put_thresholds(folders.values(), thresholds.common, own)
    histories = {fold: load_tensors(folder / "last.pt")["history"] for fold, folder in folders.items()}
    chosen = {fold: dict(read_checkpoint(folder / "best.pt").metrics) for fold, folder in folders.items()}
    pooled = metrics_of(held_out.windows, data.sources)
    precision, recall = precision_recall(held_out.scores, held_out.truth, thresholds.values)
    found = held_out.scores >= thresholds.values
    hits = float((found & held_out.truth).sum())
    summary: dict[str, Any] = {
        "git_commit": git_commit(),
        "folds": len(folders),
        "recordings": len(held_out.number),
        "out_of_fold": pooled,
        "interval": interval(held_out, settings.seed),
        "thresholds": {
            "aimed_precision": settings.threshold_precision,
            "precision": hits / found.sum() if found.any() else None,
            "recall": hits / held_out.truth.sum(),
        },
        "collections": by_collection(data, held_out),
        "by_fold": chosen,
    }
    classes = class_table(data, held_out, thresholds, precision, recall)
    write_table(out / "oof.csv", oof_rows(data, parts, held_out))
    write_table(out / "classes.csv", classes)
    write_json(out / "thresholds.json", {"common": thresholds.common, "own": own, **summary["thresholds"]})
    write_json(out / "metrics.json", summary)
    draw_curves(out / "curves.png", histories)
    write_text(out / "report.md", report_text(out.name, settings, data, parts.notes, summary, classes))
    say(f"{out / 'report.md'}: out of fold, {len(held_out.number)} recordings: " + line_of(pooled))


def out_of_fold(folders: Mapping[int, Path], data: Data) -> OutOfFold:
    """The scores of the held-out recordings, from what each fold left in its folder."""
    windows = [load_predictions(folder / "oof.npz") for folder in folders.values()]
    joined = Predictions(
        np.concatenate([part.scores for part in windows]),
        np.concatenate([part.source for part in windows]),
        np.concatenate([part.start_s for part in windows]),
    )
    number, row = np.unique(joined.source, return_inverse=True)
    return OutOfFold(
        number,
        recording_scores(joined.scores, row, len(number)),
        truth_of([data.sources[i] for i in number], len(data.labels)),
        joined,
    )


def put_thresholds(folders: Iterable[Path], common: float, own: Mapping[str, float]) -> None:
    """Write the thresholds into the checkpoints of the folds."""
    for folder in folders:
        for path in (folder / "best.pt", folder / "average.pt"):
            if path.exists():
                checkpoint = read_checkpoint(path)
                manifest = replace(checkpoint.manifest, threshold=common, thresholds=own)
                save_checkpoint(path, replace(checkpoint, manifest=manifest))


def finished(folder: Path, settings: Settings) -> bool:
    """Whether a fold has trained all its epochs and left its out-of-fold predictions."""
    if not (folder / "oof.npz").exists() or not (folder / "last.pt").exists():
        return False
    return len(load_tensors(folder / "last.pt")["history"]) >= settings.last_epoch


def threshold_values(thresholds: Thresholds, codes: Sequence[str]) -> dict[str, float]:
    """The classes that have a threshold of their own, by code."""
    return {code: float(thresholds.values[i]) for i, code in enumerate(codes) if thresholds.own[i]}


def interval(held_out: OutOfFold, seed: int) -> list[float] | None:
    """The 95 % interval of the recordings' macro AUC; None where there are too many recordings to resample."""
    if len(held_out.number) > BOOTSTRAP_MOST:
        return None

    def statistic(rows: npt.NDArray[np.intp]) -> float:
        return macro(roc_auc(held_out.scores[rows], held_out.truth[rows]))

    found = group_interval(range(len(held_out.number)), statistic, seed=seed, rounds=BOOTSTRAP_ROUNDS)
    return [found.low, found.high] if found.rounds else None


def by_collection(data: Data, held_out: OutOfFold) -> dict[str, dict[str, float | None]]:
    """The macro AUC within each source of recordings alone, where the data name more than one."""
    names = np.array([data.recordings[i].collection for i in held_out.number])
    result = {}
    for name in sorted(set(names.tolist())):
        rows = names == name
        value = macro(roc_auc(held_out.scores[rows], held_out.truth[rows]))
        result[name] = {"recordings": int(rows.sum()), "recording_auc": None if np.isnan(value) else value}
    return result if len(result) > 1 else {}


def class_table(
    data: Data,
    held_out: OutOfFold,
    thresholds: Thresholds,
    precision: npt.NDArray[np.float64],
    recall: npt.NDArray[np.float64],
) -> list[dict[str, Any]]:
    """A row for each class, in label order; what is not defined is None."""
    count = Counter(recording.label for recording in data.recordings)
    authors = {label.code: {r.author for r in data.recordings if r.label == label.code} for label in data.labels}
    columns = {
        "auc": roc_auc(held_out.scores, held_out.truth),
        "average_precision": average_precision(held_out.scores, held_out.truth),
        "threshold": thresholds.values,
        "precision": precision,
        "recall": recall,
    }
    return [
        {
            "label": label.code,
            "name": label.common_name or label.scientific_name,
            "recordings": count[label.code],
            "recordists": len(authors[label.code]),
            "judged": int(held_out.truth[:, i].sum()),
            **{name: None if np.isnan(values[i]) else round(float(values[i]), 4) for name, values in columns.items()},
            "own_threshold": bool(thresholds.own[i]),
        }
        for i, label in enumerate(data.labels)
    ]


def oof_rows(data: Data, parts: Split, held_out: OutOfFold) -> list[dict[str, Any]]:
    """A row for each held-out recording: file, fold, label, and the scores of all classes."""
    rows = []
    for i, scores in zip(held_out.number.tolist(), held_out.scores, strict=True):
        recording = data.recordings[i]
        row = {"filename": recording.filename, "fold": int(parts.fold[i]), "primary_label": recording.label}
        rows.append(row | {code: f"{score:.6f}" for code, score in zip(data.codes, scores.tolist(), strict=True)})
    return rows
