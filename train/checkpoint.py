"""The checkpoint file: all that training hands to `export`, and nothing that needs its code to be read.

A checkpoint is a dict of plain values and tensors, so that `torch.load(path, weights_only=True)` reads it:

    {
        "schema": 1,
        "state_dict": {name: tensor, ...},      # timm's own keys, float32 (integer counters as they are), on the CPU
        "model": {                              # rebuilds the module, see below
            "arch": "efficientnet_b0",          # a timm name
            "in_chans": 1,
            "num_classes": 71,
            "input_pool": 1,                    # side of the average pooling in front; 1 is none
            "input_pool_time": 0,               # its width along time where that differs; 0 is the same
        },
        "manifest": {...},                      # the fields of birdwatch.model.manifest.Manifest as JSON has them:
                                                # Manifest.from_json(json.dumps(checkpoint["manifest"])) reads it back
        "metrics": {"epoch": 9, "recording_auc": 0.95, ...},   # numbers or None (not defined), of the held-out fold
        "config": {...},                        # the recipe that made it: names and plain values
    }

Whoever has the file rebuilds the network with timm alone; the pooling has no weights, so it has no keys either:

    model = checkpoint["model"]
    network = timm.create_model(
        model["arch"], pretrained=False, in_chans=model["in_chans"], num_classes=model["num_classes"]
    )
    network.load_state_dict(checkpoint["state_dict"])
    network.eval()
    logits = network(F.avg_pool2d(images, (model["input_pool"], model["input_pool_time"] or model["input_pool"])))

`images` are float32 (B, 1, height, width) of the manifest's front end, the logits (B, num_classes) in the order of the
manifest's labels; the manifest's activation (sigmoid) turns them into scores. `input` in the manifest is "mel".
"""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import torch

from birdwatch.atomic_write import written_beside
from birdwatch.errors import ModelError
from birdwatch.model.manifest import Manifest

from .network import ModelArguments

__all__ = ["SCHEMA", "Checkpoint", "load_checkpoint", "load_tensors", "save_checkpoint", "save_tensors"]

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint's content, checked: the model has as many classes as the manifest has labels."""

    state_dict: Mapping[str, torch.Tensor]
    model: ModelArguments
    manifest: Manifest
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.model.num_classes != len(self.manifest.labels):
            raise ModelError(
                f"the model has {self.model.num_classes} classes "
                f"but its manifest lists {len(self.manifest.labels)} labels"
            )


def save_tensors(path: Path, values: Mapping[str, Any]) -> None:
    """`torch.save`, whole or not at all: raises SinkError if the disk is full; the old file is untouched then."""
    # Through memory, because torch reports a failed write as a RuntimeError without the reason.
    buffer = io.BytesIO()
    torch.save(dict(values), buffer)
    with written_beside(path, binary=True) as stream:
        cast("IO[bytes]", stream).write(buffer.getbuffer())


def load_tensors(path: Path) -> dict[str, Any]:
    """What `save_tensors` wrote, on the CPU; raises ModelError if there is none or torch cannot read it safely."""
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"no checkpoint {path}: {error.strerror}") from None
    except (RuntimeError, EOFError, pickle.UnpicklingError, KeyError):
        raise ModelError(f"{path} is not a checkpoint: torch cannot read it (damaged, or another file?)") from None
    if not isinstance(values, dict):
        raise ModelError(f"{path} is not a checkpoint: it holds a {type(values).__name__}, expected a dict")
    return values


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write `checkpoint` in the form that this module's docstring describes, whole or not at all."""
    values = {
        "schema": SCHEMA,
        "state_dict": {name: tensor.detach().cpu().clone() for name, tensor in checkpoint.state_dict.items()},
        "model": asdict(checkpoint.model),
        "manifest": json.loads(checkpoint.manifest.to_json()),
        "metrics": dict(checkpoint.metrics),
        "config": dict(checkpoint.config),
    }
    save_tensors(path, values)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU; raises ModelError if there is none, or it is not one that this version reads."""
    values = load_tensors(path)
    expected = {"schema", "state_dict", "model", "manifest", "metrics", "config"}
    if not expected <= set(values):
        raise ModelError(f"{path} is not a checkpoint of `train fit`: it must hold {sorted(expected)}")
    if values["schema"] != SCHEMA:
        raise ModelError(f"{path} has checkpoint schema {values['schema']!r}, this version reads {SCHEMA}")
    try:
        arguments = ModelArguments(**values["model"])
    except TypeError as error:
        raise ModelError(f"{path}: model arguments do not fit: {error}") from None
    return Checkpoint(
        values["state_dict"],
        arguments,
        Manifest.from_json(json.dumps(values["manifest"])),
        values["metrics"],
        values["config"],
    )
