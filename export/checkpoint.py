"""A checkpoint file, read without executing anything in it, and refused with all of its faults at once."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from birdwatch.errors import ModelError
from birdwatch.model.manifest import Manifest

from .network import NetworkSpec, state_faults

__all__ = ["SCHEMA", "Checkpoint", "read_checkpoint"]

# The newest layout of a checkpoint that this version understands.
SCHEMA = 1
# What a checkpoint must hold, and as what.
PARTS: dict[str, type] = {"schema": int, "state_dict": Mapping, "model": Mapping, "manifest": Mapping}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What training wrote: weights, how to build the network for them, and what the labels and scores mean.

    state: tensors by timm's own names. The manifest's labels are the outputs, in order.
    """

    path: Path
    sha256: str
    spec: NetworkSpec
    state: Mapping[str, torch.Tensor]
    manifest: Manifest
    metrics: Mapping[str, Any]
    config: Mapping[str, Any]


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in `path`; raises ModelError with everything that is wrong with it.

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
    spec: NetworkSpec | None = None
    manifest: Manifest | None = None
    try:
        spec = NetworkSpec.from_mapping(values["model"])
        faults += state_faults(spec, values["state_dict"])
    except ModelError as error:
        faults.append(str(error))
    try:
        manifest = Manifest.from_json(json.dumps(values["manifest"]))
        if manifest.frontend is None or manifest.input != "mel":
            faults.append(f"its manifest says input {manifest.input!r}; a network of train/ takes 'mel' of a front end")
    except (ModelError, TypeError) as error:
        faults.append(str(error))
    if spec is not None and spec.in_chans != 1:
        faults.append(f"the network takes {spec.in_chans} channels, the front end makes 1")
    if spec is not None and manifest is not None and len(manifest.labels) != spec.num_classes:
        faults.append(
            f"the network has {spec.num_classes} outputs but the manifest lists {len(manifest.labels)} labels"
        )
    if faults or spec is None or manifest is None:
        raise ModelError(f"{path} cannot be exported: {'; '.join(faults)}")
    return Checkpoint(
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        spec=spec,
        state=values["state_dict"],
        manifest=manifest,
        metrics=values.get("metrics") or {},
        config=values.get("config") or {},
    )


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
        # torch's own message goes on to say how to turn the protection off.
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
