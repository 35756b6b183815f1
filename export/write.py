"""From a source to a file: transform, describe, verify, and only then rename into place."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx

from birdwatch.atomic_write import check_writable
from birdwatch.errors import ModelError
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.manifest import METADATA_KEY, Manifest
from birdwatch.model.probe import Probe, probe_clips, replay_probe

from .clips import verification_windows
from .fuse import fused
from .halve import compute_in_half, imitated_in_float32, store_in_half
from .source import Source
from .verify import Kind, Parity, measure, require

__all__ = ["Written", "transformed", "write_model"]

# On another machine sums run in another order; a wrong front end or a wrong weight moves scores further than this.
PROBE_TOLERANCE = {"fp32": (1e-3, 0.05), "fp16": (5e-3, 0.5)}


@dataclass(frozen=True, slots=True)
class Written:
    """A model file that was verified before it got its name."""

    path: Path
    bytes: int
    manifest: Manifest
    parity: Parity


def transformed(source: Source, kind: Kind, *, imitate: bool = False) -> onnx.ModelProto:
    """The source's graph as `kind`; `imitate`: fp16 for a CPU, with the results of a GPU."""
    graph = source.graph
    if kind.precision == "fp16":
        graph = compute_in_half(graph)
        graph = imitated_in_float32(graph) if imitate else graph
    elif kind.storage == "fp16":
        graph = store_in_half(graph)
    if not kind.fused:
        return graph
    assert source.manifest.frontend is not None
    return fused(graph, source.manifest.frontend)


def write_model(source: Source, path: Path, kind: Kind, *, recordings: Sequence[Path] = ()) -> Written:
    """Write `source` to `path` as `kind`; raises ModelError, and leaves the old file alone, if its scores are off."""
    check_writable(path)
    graph = transformed(source, kind)
    manifest = replace(
        source.manifest, input="waveform" if kind.fused else "mel", probe=_probe(source, kind).to_manifest()
    )
    samples, windows = verification_windows(manifest, recordings)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    worst: Parity | None = None
    try:
        for imitate in (True, False) if kind.precision == "fp16" else (False,):
            _save(transformed(source, kind, imitate=True) if imitate else graph, manifest, part)
            parity = measure(_loaded(part), source.reference, samples, windows)
            require(parity, kind)
            worst = parity if worst is None or parity.largest > worst.largest else worst
        assert worst is not None
        manifest = replace(manifest, provenance={**manifest.provenance, "export": _export(source, kind, graph, worst)})
        _save(graph, manifest, part)
        result = replay_probe(_loaded(part))
        if not result.passed:
            raise ModelError(
                f"the {kind.name} model fails its own probe: {result.difference:.2g} in a probability, "
                f"{result.difference_log_odds:.2g} in log-odds; it is not written"
            )
        size = part.stat().st_size
        part.replace(path)
    except OSError as error:
        raise ModelError(f"{path} could not be written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
    return Written(path, size, manifest, worst)


def _loaded(path: Path) -> OnnxClassifier:
    return OnnxClassifier(path, provider="cpu")


def _probe(source: Source, kind: Kind) -> Probe:
    clips = probe_clips(source.manifest.window_frames)
    tolerance, log_odds = PROBE_TOLERANCE[kind.precision]
    return Probe.of_scores(source.reference(clips), clips, tolerance=tolerance, tolerance_log_odds=log_odds)


def _export(source: Source, kind: Kind, graph: onnx.ModelProto, parity: Parity) -> dict[str, Any]:
    """How the file was made, for the manifest: the same export writes the same file again."""
    return {
        "fused": kind.fused,
        "storage": kind.storage,
        "precision": kind.precision,
        "opset": next(item.version for item in graph.opset_import if item.domain in ("", "ai.onnx")),
        "versions": {name: version(name) for name in ("torch", "timm", "onnx")},
        "git_commit": _git_commit(),
        "verified": {
            "against": source.by,
            "on": parity.windows,
            "provider": "CPUExecutionProvider" + (", results rounded to fp16" if kind.precision == "fp16" else ""),
            "largest_difference": {str(batch): value for batch, value in parity.differences.items()},
        },
    }


def _git_commit() -> str | None:
    """The commit of this code, with `+` where it was changed since; None outside a checkout."""
    here = Path(__file__).parent
    try:
        told = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"],
            cwd=here, capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return told.stdout.strip() or None


def _save(graph: onnx.ModelProto, manifest: Manifest, path: Path) -> None:
    """One file: graph, weights and manifest, checked by onnx's own checker."""
    model = onnx.ModelProto()
    model.CopyFrom(graph)
    del model.metadata_props[:]
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, manifest.to_json()
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(f"the graph for {path.name} is not valid ONNX: {str(error).splitlines()[0]}") from error
    onnx.save(model, path)
