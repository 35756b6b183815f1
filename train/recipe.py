"""Named sets of settings, which a settings file and options override."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["RECIPES"]

# The published EfficientNetB0 notebooks of BirdCLEF 2025. All that the settings' own defaults would change is named.
BIRDCLEF_2025: Mapping[str, Any] = {
    "arch": "efficientnet_b0",
    "pretrained": True,
    "clip": "center",
    "split": "stratified",
    "fold": "all",
    "folds": 5,
    "epochs": 10,
    "batch_size": 32,
    "lr": 5e-4,
    "min_lr": 1e-6,
    "weight_decay": 1e-5,
    "schedule": "epoch",
    "loss": "bce",
    "drop_rate": 0.2,
    "drop_path_rate": 0.2,
    "aug_prob": 0.5,
    "mask_prob": 0.5,
    "mixup_on": "image",
    "mixup_prob": 1.0,
    "mixup_alpha": 0.5,
    "mixup_targets": "mix",
    "secondary": "used",
    "select": "best",
    "seed": 42,
}

RECIPES: Mapping[str, Mapping[str, Any]] = {"birdclef2025": BIRDCLEF_2025}
