"""The learning rate and the moving average of the weights: the arithmetic of the training loop."""

from __future__ import annotations

import math

import torch
from torch import nn

from .settings import Settings

__all__ = ["learning_rate", "move_average"]

# A warm-up starts at this share of the full rate, not at 0.
COLDEST = 0.01


def learning_rate(settings: Settings, progress: float) -> float:
    """The rate after `progress` epochs: a cosine from `lr` to `min_lr`, by epochs (as published) or by steps.

    By epochs it is torch's CosineAnnealingLR with T_max = epochs, stepped after each epoch.
    """
    if progress < settings.warmup_epochs:
        return settings.lr * max(progress / settings.warmup_epochs, COLDEST)
    now = math.floor(progress) if settings.schedule == "epoch" else progress
    done = max(now - settings.warmup_epochs, 0.0) / max(settings.epochs - settings.warmup_epochs, 1e-9)
    return settings.min_lr + (settings.lr - settings.min_lr) * (1.0 + math.cos(math.pi * min(done, 1.0))) / 2.0


@torch.no_grad()
def move_average(averaged: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move every float of `averaged` by 1 - decay towards `network`, faster in the first steps; integers are copied."""
    now = min(decay, (1 + step) / (10 + step))
    for mean, value in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.dtype.is_floating_point:
            mean.lerp_(value, 1.0 - now)
        else:
            mean.copy_(value)
