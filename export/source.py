"""What is exported: checkpoints (one, averaged, or an ensemble) or an exported model, as a graph and a reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import onnx
import torch

from birdwatch.audio.types import FloatArray
from birdwatch.checkpoint.file import Checkpoint, read_checkpoint
from birdwatch.checkpoint.network import activated
from birdwatch.errors import ModelError
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.frontend import log_mel
from birdwatch.model.manifest import Manifest
from birdwatch.model.probe import probe_clips

from .graph import DEFAULT_OPSET, export_graph
from .halve import widened
from .network import Ensemble, Network, average_states, count_macs, count_parameters

__all__ = ["Source", "from_checkpoints", "from_onnx"]


@dataclass(frozen=True, slots=True)
class Source:
    """A float32 graph with input `mel`, its manifest, and the scores that every export of it must give.

    reference: samples `(B, window_frames)` to scores `(B, classes)`, through the NumPy front end; by: what computes it.
    """

    graph: onnx.ModelProto
    manifest: Manifest
    reference: Callable[[FloatArray], FloatArray]
    by: str


def from_checkpoints(
    paths: Sequence[Path],
    *,
    ensemble: bool = False,
    power: float = 1.0,
    keep: Sequence[str] | int | None = None,
    opset: int = DEFAULT_OPSET,
) -> Source:
    """One network of one checkpoint, of the average of several, or (`ensemble`) of the mean of their probabilities.

    power: of that mean, 1 for the plain one. keep: codes of the labels to ship, in this order, or how many of the first
    (default: all). Raises ModelError with all that is wrong with all of them.
    """
    checkpoints = _read_all(paths)
    manifest, columns = _kept(checkpoints[0].manifest, keep)
    states = [checkpoint.state_dict for checkpoint in checkpoints]
    if not ensemble:
        states = [average_states(states)] if len(states) > 1 else states
    members = [Network(checkpoints[0].model, state, columns) for state in states]
    network = Ensemble(members, manifest.activation, power) if ensemble else members[0]
    spec = manifest.frontend
    assert spec is not None  # read_checkpoint refuses others
    example = torch.from_numpy(log_mel(probe_clips(spec.window_frames)[:2], spec))
    segments = checkpoints[0].model.segments
    outputs = ["scores"] if ensemble else ["scores", "embedding"]
    outputs += ["segments"] if segments > 1 else []
    graph = export_graph(network, example, input_name="mel", output_names=outputs, opset=opset)
    activation = manifest.activation

    def reference(samples: FloatArray) -> FloatArray:
        with torch.inference_mode():
            out = network(torch.from_numpy(log_mel(samples, spec)))
            scores = out[0] if isinstance(out, tuple) else out
            return np.asarray(scores if ensemble else activated(scores, activation), np.float32)

    thresholds = {
        code: float(np.mean([checkpoint.manifest.threshold_of(code) for checkpoint in checkpoints]))
        for code in manifest.codes
        if any(code in checkpoint.manifest.thresholds for checkpoint in checkpoints)
    }
    return Source(
        graph,
        replace(
            manifest,
            thresholds=thresholds,
            input="mel",
            activation="none" if ensemble else activation,
            scores_output="scores",
            embedding_output=None if ensemble else "embedding",
            segments=segments,
            segments_output="segments" if segments > 1 else None,
            parameters=count_parameters(network),
            macs=count_macs(network, example),
            probe=None,
            provenance=_provenance(manifest.provenance, checkpoints, _combined(ensemble, power)),
        ),
        reference,
        f"PyTorch {torch.__version__.split('+')[0]}",
    )


def _combined(ensemble: bool, power: float) -> str:
    if not ensemble:
        return "average"
    return "ensemble" if power == 1.0 else f"ensemble, power mean of {power:g}"


def from_onnx(path: Path) -> Source:
    """A model exported before, to be fused or halved without its checkpoint; its own scores are the reference."""
    classifier = OnnxClassifier(path, provider="cpu")
    manifest = classifier.manifest
    if manifest.input != "mel" or manifest.frontend is None:
        raise ModelError(f"{path} takes {manifest.input!r}; only a model that takes 'mel' can be exported again")
    halves = manifest.provenance.get("export", {}).get("precision") == "fp16"
    if halves:
        raise ModelError(f"{path} computes in fp16; export again from its checkpoint or from the fp32 model")
    provenance: dict[str, Any] = dict(manifest.provenance)
    provenance["exported_again_from"] = {"sha256": classifier.sha256}
    graph = widened(onnx.load(path))
    del graph.metadata_props[:]
    return Source(
        graph, replace(manifest, provenance=provenance, probe=None), classifier.score, f"ONNX Runtime, of {path.name}"
    )


def _read_all(paths: Sequence[Path]) -> list[Checkpoint]:
    """Every checkpoint, each once; all the faults of all of them in one error."""
    checkpoints: list[Checkpoint] = []
    faults: list[str] = []
    for path in dict.fromkeys(path.resolve() for path in paths):
        try:
            checkpoints.append(read_checkpoint(path))
        except ModelError as error:
            faults.append(str(error))
    for other in checkpoints[1:]:
        first = checkpoints[0]
        for what, mine, theirs in (
            ("network", first.model, other.model),
            ("labels", first.manifest.codes, other.manifest.codes),
            ("front end", first.manifest.frontend, other.manifest.frontend),
            ("activation", first.manifest.activation, other.manifest.activation),
        ):
            if mine != theirs:
                faults.append(f"{other.path} has another {what} than {first.path}; they cannot be combined")
    if faults:
        raise ModelError("; ".join(faults))
    return checkpoints


def _kept(manifest: Manifest, keep: Sequence[str] | int | None) -> tuple[Manifest, list[int] | None]:
    """The manifest with only the labels `keep`, and their columns."""
    if keep is None:
        return manifest, None
    if isinstance(keep, int):
        if not 1 <= keep <= len(manifest.labels):
            raise ModelError(f"labels to keep: the first {keep} of {len(manifest.labels)}")
        keep = manifest.codes[:keep]
    unknown = [code for code in keep if code not in manifest.codes]
    if unknown or not keep or len(set(keep)) < len(keep):
        what = f"{unknown[:5]} are not among the checkpoint's labels" if unknown else "they are none, or repeat"
        raise ModelError(f"labels to keep: {what}")
    columns = [manifest.codes.index(code) for code in keep]
    thresholds = {code: value for code, value in manifest.thresholds.items() if code in keep}
    return replace(manifest, labels=tuple(manifest.labels[i] for i in columns), thresholds=thresholds), columns


def _provenance(base: Mapping[str, Any], checkpoints: Sequence[Checkpoint], combined: str) -> dict[str, Any]:
    members = [{"sha256": checkpoint.sha256, "metrics": dict(checkpoint.metrics)} for checkpoint in checkpoints]
    provenance = {**_without_folders(base), "network": checkpoints[0].model.to_mapping(), "checkpoints": members}
    return {**provenance, "combined": combined} if len(members) > 1 else provenance


def _without_folders(value: Any) -> Any:
    """Absolute paths as bare names: a published model does not show the folders of the machine that trained it."""
    if isinstance(value, Mapping):
        return {name: _without_folders(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_folders(item) for item in value]
    if isinstance(value, str):
        for path in (PurePosixPath(value), PureWindowsPath(value)):
            if path.is_absolute():
                return path.name
    return value
