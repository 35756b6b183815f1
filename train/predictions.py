"""A network's scores of windows, and their metrics per window and per recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from birdwatch.audio.types import FloatArray
from birdwatch.checkpoint.frontend import images_of
from birdwatch.checkpoint.network import activated, pool_input
from birdwatch.evaluation.metrics import average_precision, macro, recording_scores, roc_auc, top_1

from .loader import Loader
from .windows import Draw, Source, Windows

__all__ = ["Predictions", "metrics_of", "score_windows", "truth_of"]

Forward = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Predictions:
    """Scores float32 `(windows, classes)` in 0..1; `source` `(windows,)` and `start_s` `(windows,)` say of what."""

    scores: FloatArray
    source: npt.NDArray[np.int64]
    start_s: npt.NDArray[np.float64]


def score_windows(
    forward: Forward,
    windows: Windows,
    draws: Sequence[Draw],
    *,
    batch_size: int,
    pool: tuple[int, int],
    device: torch.device,
    workers: int = 0,
    activation: str = "sigmoid",
) -> Predictions:
    """The scores of `draws` (with starts), unaugmented, in their order. `forward` is a network in eval mode."""
    size = batch_size * 2
    batches = [list(draws[i : i + size]) for i in range(0, len(draws), size)]
    scores = []
    with torch.inference_mode():
        for batch in Loader(windows, workers=workers, pinned=device.type == "cuda").load(batches):
            images = images_of(batch["mel"].to(device, non_blocking=True).transpose(1, 2), windows.spec)
            images = pool_input(images, pool).contiguous(memory_format=torch.channels_last)
            scores.append(activated(forward(images).float(), activation).cpu())
    return Predictions(
        torch.cat(scores).numpy(),
        np.array([draw.source for draw in draws]),
        np.array([(draw.start or 0) * windows.grid_s for draw in draws]),
    )


def truth_of(sources: Sequence[Source], classes: int) -> npt.NDArray[np.bool_]:
    """Boolean `(sources, classes)`: the labels of each recording."""
    truth = np.zeros((len(sources), classes), np.bool_)
    for row, item in zip(truth, sources, strict=True):
        row[list(item.labels)] = True
    return truth


def log_loss(scores: FloatArray, truth: npt.NDArray[np.bool_]) -> float:
    """Mean binary cross-entropy of scores `(rows, classes)`: the validation loss, the same whatever is trained with."""
    p = np.clip(scores.astype(np.float64), 1e-7, 1.0 - 1e-7)
    return float(-np.where(truth, np.log(p), np.log1p(-p)).mean())


def metrics_of(predictions: Predictions, sources: Sequence[Source]) -> dict[str, float | None]:
    """Metrics of the windows (each with its recording's labels) and of the recordings (maximum, and mean, of windows).

    None where a metric is not defined.
    """
    classes = predictions.scores.shape[1]
    numbers, row = np.unique(predictions.source, return_inverse=True)
    evaluated = [sources[number] for number in numbers]
    truth = truth_of(evaluated, classes)
    primary = np.array([item.labels[0] for item in evaluated])
    highest = recording_scores(predictions.scores, row, len(numbers))
    mean = np.zeros(highest.shape, np.float64)
    np.add.at(mean, row, predictions.scores)
    mean /= np.bincount(row)[:, None]
    values = {
        "val_loss": log_loss(predictions.scores, truth[row]),
        "clip_auc": macro(roc_auc(predictions.scores, truth[row])),
        "clip_cmap": macro(average_precision(predictions.scores, truth[row])),
        "clip_top1": top_1(predictions.scores, primary[row]),
        "recording_auc": macro(roc_auc(highest, truth)),
        "recording_cmap": macro(average_precision(highest, truth)),
        "recording_top1": top_1(highest, primary),
        "recording_mean_auc": macro(roc_auc(mean, truth)),
        "recording_mean_top1": top_1(mean, primary),
    }
    return {name: None if np.isnan(value) else value for name, value in values.items()}
