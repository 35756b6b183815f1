"""A checkpoint of a very small EfficientNet, as training writes them, for tests that export one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import timm
import torch
import torch.nn.functional as F

from birdwatch.model.frontend import FrontendSpec, log_mel
from birdwatch.model.manifest import Label, Manifest

ARCH = "test_efficientnet"  # timm's own for tests: 0.1 million parameters, every kind of block of its big sisters
LABELS = tuple(Label(f"bird{i}", f"Avis {i}", f"Bird {i}") for i in range(6))


def small_checkpoint(seed: int = 0, *, input_pool: int = 2, input_pool_time: int = 0, **changes: Any) -> dict[str, Any]:
    """The content of a checkpoint; its scores on noise and tones spread over 0..1. `changes` replace whole parts."""
    torch.manual_seed(seed)
    network = timm.create_model(ARCH, in_chans=1, num_classes=len(LABELS))
    rng = np.random.default_rng(seed)
    t = np.arange(160000) / 32000
    sounds = [
        rng.normal(0, 0.1, len(t)) + 0.3 * np.sin(2 * np.pi * hz * t * (1 + 0.1 * t)) for hz in (2000, 3000, 5000)
    ]
    images = torch.from_numpy(log_mel(np.stack([*sounds, rng.normal(0, 0.3, len(t))]).astype(np.float32)))
    images = F.avg_pool2d(images, (input_pool, input_pool_time or input_pool))
    with torch.no_grad():
        network.train()
        for _ in range(10):  # so that batch normalisation has statistics of its own to fold
            network(images)
        logits = network.eval()(images)
        network.get_classifier().weight.mul_(2.0 / logits.std())  # type: ignore[operator]
    spec = FrontendSpec()
    manifest = Manifest(
        name="small",
        labels=LABELS,
        rate_hz=spec.rate_hz,
        window_frames=spec.window_frames,
        frontend=spec,
        thresholds={"bird1": 0.25 + 0.1 * seed},
        license="CC BY-NC-SA 4.0",
        attribution="nobody",
        provenance={"training_data": "0123456789abcdef", "git_commit": "abc"},
    )
    content = {
        "schema": 1,
        "state_dict": dict(network.state_dict()),
        "model": {
            "arch": ARCH,
            "in_chans": 1,
            "num_classes": len(LABELS),
            "input_pool": input_pool,
            "input_pool_time": input_pool_time,
        },
        "manifest": json.loads(manifest.to_json()),
        "metrics": {"epoch": 3, "recording_auc": 0.9 + seed / 100},
        "config": {"epochs": 4},
    }
    return {**content, **changes}


def write_checkpoint(path: Path, seed: int = 0, **changes: Any) -> Path:
    """`small_checkpoint` in a file."""
    torch.save(small_checkpoint(seed, **changes), path)
    return path


def by_hand(content: dict[str, Any], samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A checkpoint's probabilities in a few lines of timm, without anything of export."""
    model = content["model"]
    network = timm.create_model(model["arch"], in_chans=1, num_classes=model["num_classes"]).eval()
    network.load_state_dict(content["state_dict"])
    with torch.no_grad():
        pool = (model["input_pool"], model["input_pool_time"] or model["input_pool"])
        images = F.avg_pool2d(torch.from_numpy(log_mel(samples)), pool)
        return np.asarray(torch.sigmoid(network(images)))
