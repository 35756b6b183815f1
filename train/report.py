"""What a run gave: out-of-fold scores, metrics, thresholds, the table of the classes, curves and a short report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from birdwatch.audio import FloatArray

from .checkpoint import load_checkpoint, load_tensors, save_checkpoint
from .curves import draw_curves
from .folds import Split
from .gather import Data
from .judge import Predictions, judge, truth_of
from .metrics import (
    Thresholds,
    average_precision,
    bootstrap_macro_auc,
    choose_thresholds,
    macro,
    precision_recall,
    recording_scores,
    roc_auc,
)
from .settings import Settings
from .tables import load_predictions, write_json, write_table, write_text

__all__ = ["OutOfFold", "report", "threshold_values"]

COLUMNS = ("recording_auc", "recording_cmap", "recording_top1", "clip_auc", "clip_cmap", "clip_top1")
HEADINGS = ("AUC", "cmAP", "top-1", "AUC", "cmAP", "top-1")
# Resampling more recordings than this for the interval of the AUC takes minutes, and the interval is narrow then.
BOOTSTRAP_MOST = 5000


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
    windows = [load_predictions(folder / "oof.npz") for folder in folders.values()]
    joined = Predictions(
        np.concatenate([part.scores for part in windows]),
        np.concatenate([part.source for part in windows]),
        np.concatenate([part.start_s for part in windows]),
    )
    number, row = np.unique(joined.source, return_inverse=True)
    held_out = OutOfFold(
        number,
        recording_scores(joined.scores, row, len(number)),
        truth_of([data.sources[i] for i in number], len(data.labels)),
        joined,
    )
    thresholds = choose_thresholds(
        held_out.scores,
        held_out.truth,
        precision=settings.threshold_precision,
        least_positives=settings.threshold_positives,
    )
    own = threshold_values(thresholds, data.codes)
    for folder in folders.values():
        for path in (folder / "best.pt", folder / "average.pt"):
            if path.exists():
                checkpoint = load_checkpoint(path)
                manifest = replace(checkpoint.manifest, threshold=thresholds.common, thresholds=own)
                save_checkpoint(path, replace(checkpoint, manifest=manifest))

    histories = {fold: load_tensors(folder / "last.pt")["history"] for fold, folder in folders.items()}
    chosen = {fold: dict(load_checkpoint(folder / "best.pt").metrics) for fold, folder in folders.items()}
    pooled = judge(joined, data.sources)
    precision, recall = precision_recall(held_out.scores, held_out.truth, thresholds.values)
    found = held_out.scores >= thresholds.values
    hits = float((found & held_out.truth).sum())
    summary: dict[str, Any] = {
        "folds": len(folders),
        "recordings": len(number),
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
    write_text(out / "report.md", text_of(settings, data, parts, summary, classes, out))
    say(f"{out / 'report.md'}: out of fold, {len(number)} recordings: " + line_of(pooled))


def finished(folder: Path, settings: Settings) -> bool:
    """Whether a fold has trained all its epochs and left its out-of-fold predictions."""
    if not (folder / "oof.npz").exists() or not (folder / "last.pt").exists():
        return False
    return len(load_tensors(folder / "last.pt")["history"]) >= settings.epochs


def threshold_values(thresholds: Thresholds, codes: Sequence[str]) -> dict[str, float]:
    """The classes that have a threshold of their own, by code."""
    return {code: float(thresholds.values[i]) for i, code in enumerate(codes) if thresholds.own[i]}


def interval(held_out: OutOfFold, seed: int) -> list[float] | None:
    """The 95 % interval of the recordings' macro AUC; None where there are too many recordings to resample."""
    if len(held_out.number) > BOOTSTRAP_MOST:
        return None
    low, high = bootstrap_macro_auc(held_out.scores, held_out.truth, seed=seed)
    return [low, high] if low == low else None


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


def number_of(value: float | None) -> str:
    """Three decimals, or a dash where undefined."""
    return "-" if value is None else f"{value:.3f}"


def line_of(metrics: Mapping[str, float | None]) -> str:
    """The recordings' and the windows' metrics in one line."""
    return (
        f"AUC {number_of(metrics['recording_auc'])}, cmAP {number_of(metrics['recording_cmap'])}, "
        f"top-1 {number_of(metrics['recording_top1'])}; windows: AUC {number_of(metrics['clip_auc'])}, "
        f"cmAP {number_of(metrics['clip_cmap'])}, top-1 {number_of(metrics['clip_top1'])}"
    )


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def text_of(
    settings: Settings, data: Data, parts: Split, summary: dict[str, Any], classes: list[dict[str, Any]], out: Path
) -> str:
    """The report in Markdown."""
    made = json.loads((out / "run.json").read_text("utf-8"))
    spread = summary["interval"]
    rows = [
        [f"fold {fold} (epoch {metrics['epoch']})", *[number_of(metrics[name]) for name in COLUMNS]]
        for fold, metrics in summary["by_fold"].items()
    ]
    if len(rows) > 1:
        means = [[m[name] for m in summary["by_fold"].values() if m[name] is not None] for name in COLUMNS]
        cells = [f"{np.mean(v):.3f} ± {np.std(v, ddof=1):.3f}" if len(v) > 1 else "-" for v in means]
        rows.append(["mean ± standard deviation", *cells])
    rows.append(["**all out of fold**", *[f"**{number_of(summary['out_of_fold'][name])}**" for name in COLUMNS]])
    thresholds = summary["thresholds"]
    parts_of_report = [
        f"# Training run `{out.name}`\n",
        (
            f"{settings.arch}, {settings.epochs} epochs, {len(data.recordings)} recordings of {len(data.labels)} classes; "
            f"data {data.fingerprint}, commit {made['git_commit'] or 'unknown'}, seed {settings.seed}. "
            "`config.toml` holds every setting, `run.json` the versions.\n"
        ),
        "## Held-out recordings\n",
        (
            "Each recording is scored by the network that did not train on it. A recording's score is the maximum over its "
            "windows; a window is judged by its recording's labels, which is too strict where the bird is silent. AUC and "
            "cmAP are means over the classes with positives.\n"
        ),
        table(["", *[f"recordings: {h}" for h in HEADINGS[:3]], *[f"windows: {h}" for h in HEADINGS[3:]]], rows),
        f"95 % interval of the recordings' AUC (resampled recordings): {spread[0]:.3f} to {spread[1]:.3f}.\n"
        if spread
        else "",
        (
            "By the mean over a recording's windows instead: "
            f"AUC {number_of(summary['out_of_fold']['recording_mean_auc'])}, "
            f"top-1 {number_of(summary['out_of_fold']['recording_mean_top1'])}.\n"
        ),
        "`best.pt` is the epoch that scored best on its own held-out fold, so these figures are slightly too good; "
        "`--select last` does not choose.\n"
        if settings.select == "best"
        else "`best.pt` is the last epoch: nothing was chosen by these figures.\n",
        "![curves](curves.png)\n",
    ]
    if summary["collections"]:
        rows = [
            [name or "(none)", v["recordings"], number_of(v["recording_auc"])]
            for name, v in summary["collections"].items()
        ]
        parts_of_report += ["## Within each collection alone\n", table(["collection", "recordings", "AUC"], rows)]
    parts_of_report += [
        "## Thresholds\n",
        (
            f"Chosen on these out-of-fold scores for a precision of {thresholds['aimed_precision']}; with them, over all "
            f"classes, precision {number_of(thresholds['precision'])} and recall {number_of(thresholds['recall'])} (on the "
            f"same scores). {sum(row['own_threshold'] for row in classes)} classes have at least "
            f"{settings.threshold_positives} recordings and a threshold of their own, the others the common one.\n"
        ),
        "## Split\n",
        "".join(f"- {note}\n" for note in parts.notes) or "Nothing to note.\n",
        "## Classes\n",
        table(list(classes[0]), [["" if cell is None else cell for cell in row.values()] for row in classes]),
    ]
    return "\n".join(part for part in parts_of_report if part)
