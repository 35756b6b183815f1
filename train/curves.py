"""The learning curves of a run as an image: loss and metrics by epoch, one line per fold."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, cast

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from birdwatch.atomic_write import written_beside

__all__ = ["draw_curves"]

PANELS = {
    "loss": "training loss",
    "val_loss": "validation loss (binary cross-entropy)",
    "recording_auc": "recordings: macro ROC-AUC",
    "recording_cmap": "recordings: cmAP",
    "recording_top1": "recordings: top-1",
}


def draw_curves(path: Path, histories: Mapping[int, Sequence[Mapping[str, float | None]]]) -> None:
    """A PNG with a panel for each of the loss and the held-out metrics, from each fold's metrics by epoch."""
    # Without pyplot: no global state, no display, no effect on the caller's figures.
    figure = Figure(figsize=(12, 10), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    for axes, (name, title) in zip(figure.subplots(3, 2).flat, PANELS.items(), strict=False):
        for fold, history in histories.items():
            points = [(row["epoch"], row.get(name)) for row in history if row.get(name) is not None]
            axes.plot([x for x, _ in points], [y for _, y in points], marker="o", markersize=3, label=f"fold {fold}")
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if name == "loss" and histories:
            axes.legend()
    buffer = io.BytesIO()
    canvas.print_png(buffer)  # type: ignore[no-untyped-call]
    with written_beside(path, binary=True) as stream:
        cast("IO[bytes]", stream).write(buffer.getbuffer())
