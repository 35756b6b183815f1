"""The checkpoint file that training passes to `export`, readable without the code of training.

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
        "config": {...},                        # the settings that made it: names and plain values
    }

The network is rebuilt with timm alone; the pooling has no weights, so it has no keys either:

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

import hashlib
import io
import json
import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import torch

from birdwatch.atomic_write import written_beside
from birdwatch.checkpoint.network import ModelArguments, state_faults
from birdwatch.errors import ModelError
from birdwatch.model.manifest import Manifest

__all__ = ["SCHEMA", "Checkpoint", "load_tensors", "read_checkpoint", "save_checkpoint", "save_tensors"]

# The newest layout of a checkpoint that this version understands.
SCHEMA = 1
# What a checkpoint must hold, and as what.
PARTS: dict[str, type] = {"schema": int, "state_dict": Mapping, "model": Mapping, "manifest": Mapping}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint's content; the model has as many classes as the manifest has labels, in their order.

    state_dict: tensors by timm's own names. path and sha256: of the file that it was read from.
    """

    state_dict: Mapping[str, torch.Tensor]
    model: ModelArguments
    manifest: Manifest
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    path: Path = Path()
    sha256: str = ""

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
    return dict(_load(path)[1])


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write `checkpoint` in the form that this module's docstring describes, whole or not at all."""
    values = {
        "schema": SCHEMA,
        "state_dict": {name: tensor.detach().cpu().clone() for name, tensor in checkpoint.state_dict.items()},
        "model": checkpoint.model.to_mapping(),
        "manifest": json.loads(checkpoint.manifest.to_json()),
        "metrics": dict(checkpoint.metrics),
        "config": dict(checkpoint.config),
    }
    save_tensors(path, values)


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in `path`, on the CPU; raises ModelError with everything that is wrong with it.

    Only tensors and plain values are unpickled (`weights_only`): code in a checkpoint is refused, never run.
    """
    data, values = _load(path)
    faults: list[str] = []
    if isinstance(values.get("schema"), int) and values["schema"] > SCHEMA:
        raise ModelError(
            f"{path} has checkpoint schema {values['schema']}, this version reads {SCHEMA}: upgrade birdwatch"
        )
    for name, kind in PARTS.items():
        if name not in values:
            faults.append(f"it has no {name!r}")
        elif not isinstance(values[name], kind):
            faults.append(f"its {name!r} is a {type(values[name]).__name__}, expected {kind.__name__.lower()}")
    if faults:
        raise ModelError(f"{path} is not a birdwatch checkpoint: {'; '.join(faults)}; expected one that train/ wrote")
    model = _model(values, faults)
    manifest = _manifest(values, faults)
    if model is not None and manifest is not None and len(manifest.labels) != model.num_classes:
        faults.append(
            f"the network has {model.num_classes} outputs but the manifest lists {len(manifest.labels)} labels"
        )
    if faults or model is None or manifest is None:
        raise ModelError(f"{path} cannot be used: {'; '.join(faults)}")
    return Checkpoint(
        values["state_dict"],
        model,
        manifest,
        values.get("metrics") or {},
        values.get("config") or {},
        path,
        hashlib.sha256(data).hexdigest(),
    )


def _model(values: Mapping[str, Any], faults: list[str]) -> ModelArguments | None:
    """The network's arguments, its weights checked against them."""
    try:
        model = ModelArguments.from_mapping(values["model"])
    except ModelError as error:
        faults.append(str(error))
        return None
    faults += state_faults(model, values["state_dict"])
    if model.in_chans != 1:
        faults.append(f"the network takes {model.in_chans} channels, the front end makes 1")
    return model


def _manifest(values: Mapping[str, Any], faults: list[str]) -> Manifest | None:
    try:
        manifest = Manifest.from_json(json.dumps(values["manifest"]))
    except (ModelError, TypeError) as error:
        faults.append(str(error))
        return None
    if manifest.frontend is None or manifest.input != "mel":
        faults.append(f"its manifest says input {manifest.input!r}; a network of train/ takes 'mel' of a front end")
    return manifest


def _load(path: Path) -> tuple[bytes, Mapping[str, Any]]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"checkpoint {path} cannot be read: {error.strerror}") from None
    if not data:
        raise ModelError(f"checkpoint {path} is empty")
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise ModelError(f"{path} is not a checkpoint, or is cut off: it is not an archive as torch.save writes it")
    try:
        values = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's own message continues with how to turn the protection off.
        named = re.search(r"GLOBAL (\S+)", str(error))
        what = f"it names {named[1]}" if named else "or is damaged"
        raise ModelError(
            f"{path} holds something other than tensors and plain values ({what}); nothing in it was executed"
        ) from None
    except (RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path} is damaged: {str(error).strip().splitlines()[0]}") from None
    if not isinstance(values, Mapping):
        raise ModelError(f"{path} holds a {type(values).__name__}, expected a checkpoint that train/ wrote")
    return data, values
