"""The report of a run as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .gather import Data
from .settings import Settings

__all__ = ["epoch_line", "line_of", "report_text"]

METRICS = {
    "recording_auc": "recordings: AUC",
    "recording_cmap": "recordings: cmAP",
    "recording_top1": "recordings: top-1",
    "clip_auc": "windows: AUC",
    "clip_cmap": "windows: cmAP",
    "clip_top1": "windows: top-1",
}

HOW_JUDGED = """\
Each recording is scored by the network that did not train on it. A recording's score is the maximum over its windows;
a window is evaluated by its recording's labels,
which is too strict where the bird is silent. AUC and cmAP are means over
the classes with positives.
"""
CHOSEN = """\
`best.pt` is the epoch that scored best on its own held-out fold, so these figures are slightly too high;
`--select last` does not choose.
"""
REACHED = ""
NOT_REACHED = "**The aim is not reached**: where no threshold reaches it, the one with the highest precision is used.\n"
NOT_CHOSEN = "`best.pt` is the last epoch: nothing was chosen by these figures.\n"


def text(value: float | None) -> str:
    """Three decimals, or a dash where undefined."""
    return "-" if value is None else f"{value:.3f}"


def line_of(metrics: Mapping[str, float | None]) -> str:
    """The recordings' and the windows' metrics in one line."""
    recordings, windows = (
        " ".join(f"{title.split(': ')[1]} {text(metrics[name])}" for name, title in METRICS.items() if kind in title)
        for kind in ("recordings", "windows")
    )
    return f"recordings {recordings}, windows {windows}"


def epoch_line(metrics: Mapping[str, float | None], epochs: int | None) -> str:
    """An epoch's metrics in one line, with loss and speed if the number of epochs is given."""
    evaluated = line_of(metrics) if "recording_auc" in metrics else "nothing held out"
    if epochs is None:
        return evaluated
    waiting = 100 * (metrics["waiting_share"] or 0.0)
    return (
        f"epoch {metrics['epoch']}/{epochs}: loss {metrics['loss']:.4f}, {evaluated}; "
        f"{metrics['windows_per_s']:.1f} windows/s, {waiting:.0f} % of the time waiting for data"
    )


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; None is an empty cell."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join("" if cell is None else str(cell) for cell in line) + " |\n" for line in lines)


def metrics_table(summary: Mapping[str, Any]) -> str:
    """A row for each fold, their mean and standard deviation, and all held-out recordings together."""
    by_fold = summary["by_fold"]
    rows = [
        [f"fold {fold} (epoch {metrics['epoch']})", *[text(metrics[name]) for name in METRICS]]
        for fold, metrics in by_fold.items()
    ]
    if len(by_fold) > 1:
        found = [[m[name] for m in by_fold.values() if m[name] is not None] for name in METRICS]
        cells = [f"{np.mean(v):.3f} ± {np.std(v, ddof=1):.3f}" if len(v) > 1 else "-" for v in found]
        rows.append(["mean ± standard deviation", *cells])
    rows.append(["**all out of fold**", *[f"**{text(summary['out_of_fold'][name])}**" for name in METRICS]])
    return table(["", *METRICS.values()], rows)


def report_text(
    name: str,
    settings: Settings,
    data: Data,
    notes: Sequence[str],
    summary: Mapping[str, Any],
    classes: Sequence[Mapping[str, Any]],
) -> str:
    """The whole report; `summary` is what metrics.json holds, `classes` what classes.csv does."""
    pooled, limits, interval = summary["out_of_fold"], summary["thresholds"], summary["interval"]
    lines = [
        f"# Training run `{name}`\n",
        f"{settings.arch}, {settings.last_epoch} epochs, {len(data.recordings)} recordings,",
        f"{len(data.labels)} classes;",
        f"data {data.fingerprint}, commit {summary['git_commit'] or 'unknown'}, seed {settings.seed}.",
        "`config.toml` holds every setting, `run.json` the versions.\n",
        "## Held-out recordings\n",
        HOW_JUDGED,
        metrics_table(summary),
    ]
    if interval:
        low, high = interval
        lines.append(f"95 % interval of the recordings' AUC (recordings resampled): {low:.3f} to {high:.3f}.\n")
    lines += [
        "By the mean over a recording's windows instead of the maximum:",
        f"AUC {text(pooled['recording_mean_auc'])}, top-1 {text(pooled['recording_mean_top1'])}.\n",
        CHOSEN if settings.select == "best" else NOT_CHOSEN,
        "![curves](curves.png)\n",
    ]
    if summary["collections"]:
        rows = [
            [collection or "(none)", found["recordings"], text(found["recording_auc"])]
            for collection, found in summary["collections"].items()
        ]
        lines += ["## Within each collection alone\n", table(["collection", "recordings", "AUC"], rows)]
    own = sum(bool(row["own_threshold"]) for row in classes)
    lines += [
        "## Thresholds\n",
        f"Chosen on these out-of-fold scores for a precision of {limits['aimed_precision']}. With them, over all",
        f"classes: precision {text(limits['precision'])}, recall {text(limits['recall'])} (on the same scores).",
        f"{own} classes have at least {settings.threshold_positives} recordings and a threshold of their own, the",
        "others the common one.",
        REACHED if (limits["precision"] or 0.0) >= limits["aimed_precision"] else NOT_REACHED,
        "## Split\n",
        "".join(f"- {note}\n" for note in notes) or "Nothing to note.\n",
        "## Classes\n",
        table(list(classes[0]), [list(row.values()) for row in classes]),
    ]
    return "\n".join(lines)
