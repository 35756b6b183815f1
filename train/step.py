"""One step of training: a loaded batch through augmentation and network to its loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import torch

from birdwatch.checkpoint.network import pool_input
from birdwatch.checkpoint.sed import SedAnswer
from birdwatch.errors import BirdwatchError
from birdwatch.model.frontend import FrontendSpec

from .batches import network_input
from .losses import classification_loss
from .settings import Settings
from .teacher_head import embedding_loss
from .windows import NOISE, VARIED, Draw, Windows

__all__ = ["Batch", "Forward", "TrainingError", "finite", "timed"]

Batch = Mapping[str, torch.Tensor]


class TrainingError(BirdwatchError):
    """Training cannot continue: the loss is no longer a number."""


@dataclass(frozen=True, slots=True)
class Forward:
    """From a batch to its loss. run: the network, compiled or not; half: what it computes in, None for float32."""

    run: Callable[[torch.Tensor], Any]
    settings: Settings
    spec: FrontendSpec
    pool: tuple[int, int]
    device: torch.device
    half: torch.dtype | None

    def loss(self, batch: Batch, rng: np.random.Generator) -> torch.Tensor:
        """The mean loss of a batch, augmented with numbers from `rng`."""
        settings = self.settings
        batch = {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}
        shown = network_input(batch, settings, self.spec, rng)
        images = pool_input(shown.images, self.pool).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, self.half or torch.bfloat16, enabled=self.half is not None):
            answer = self.run(images)
        if isinstance(answer, SedAnswer):
            by_frame = classification_loss(answer.highest.float(), shown.targets, shown.weights, settings)
            clip = classification_loss(answer.clip.float(), shown.targets, shown.weights, settings)
            loss, embedding = clip + settings.sed_frame_weight * by_frame, answer.embedding
        else:
            logits, embedding = answer if isinstance(answer, tuple) else (answer, None)
            loss = classification_loss(logits.float(), shown.targets, shown.weights, settings)
        if embedding is not None and shown.embeddings is not None and shown.embedding_weights is not None:
            apart = embedding_loss(embedding.float(), shown.embeddings, shown.embedding_weights)
            loss = loss + settings.teacher_weight * apart
        return loss


def timed(batches: Iterable[Batch]) -> Iterator[tuple[Batch, float]]:
    """Each batch with the seconds that were spent waiting for it."""
    iterator = iter(batches)
    while True:
        began_s = perf_counter()
        batch = next(iterator, None)
        if batch is None:
            return
        yield batch, perf_counter() - began_s


def finite(loss: torch.Tensor, epoch: int, step: int, batch: Batch, draws: list[Draw], windows: Windows) -> float:
    """The loss as a number; raises TrainingError, naming the recordings of the batch, if it is none."""
    value = loss.item()
    if not math.isfinite(value):
        raise TrainingError(not_finite(value, epoch, step, batch, draws, windows))
    return value


def not_finite(value: float, epoch: int, step: int, batch: Batch, draws: list[Draw], windows: Windows) -> str:
    """The error message about a loss that is not finite."""
    names = []
    for position, mel in zip(batch["position"].tolist(), batch["mel"], strict=True):
        number = draws[position].source
        name = {NOISE: "background", VARIED: "a varied sound"}.get(number) or windows.sources[number].filename
        names.append(name + ("" if torch.isfinite(mel).all() else " (its mel spectrogram is not finite)"))
    return (
        f"the loss is {value} in epoch {epoch + 1}, batch {step + 1}, which holds {', '.join(names)}; "
        "look at these files, lower --lr, or set --clip-grad 1"
    )
