"""Makes models of other projects' ONNX networks: checks a network, runs it on noise, and adds a manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from birdwatch.audio.types import FloatArray
from birdwatch.errors import ModelError
from birdwatch.model.classifier import open_network
from birdwatch.model.manifest import METADATA_KEY, Manifest

__all__ = ["Outputs", "load_onnx", "look_at", "wrapped"]

# Outputs this far outside 0..1 are no probabilities; rounding may lead a little over.
SLACK = 1e-3


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a network answered to noise: its scores' name and width, its embedding's name, the scores' extremes."""

    scores: str
    classes: int
    embedding: str | None
    lowest: float
    highest: float

    @property
    def in_unit_range(self) -> bool:
        """Whether the scores could be probabilities already."""
        return self.lowest >= -SLACK and self.highest <= 1 + SLACK


def load_onnx(path: Path) -> onnx.ModelProto:
    """The ONNX file, data that lies beside it taken in. Raises ModelError."""
    try:
        model = onnx.load(path)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # protobuf's own classes, whose names differ from version to version
        raise ModelError(f"{path} is not an ONNX file ({str(error).strip() or type(error).__name__})") from error
    if not model.graph.node:
        raise ModelError(f"{path} is not an ONNX file (it has no nodes)")
    return model


def look_at(model: onnx.ModelProto, shape: tuple[int, ...], *, scores: str | None, embedding: str | None) -> Outputs:
    """Runs the network on noise `(n, *shape)` and returns what came out; a free batch is run as 1 and as 3.

    scores and embedding: the outputs' names; scores may be None where there is one output only. An input
    `(n, 1, frames)` is first given a shape without the 1. Raises ModelError that lists what there is.
    """
    _flatten_channel(model, shape)
    session = open_network(model.SerializeToString())
    inputs, names = session.get_inputs(), [output.name for output in session.get_outputs()]
    listed = ", ".join(f"{output.name} {output.shape}" for output in session.get_outputs())
    if len(inputs) != 1:
        raise ModelError(f"the network has {len(inputs)} inputs ({', '.join(i.name for i in inputs)}), expected one")
    if scores is None and len(names) > 1:
        raise ModelError(f"the network has several outputs; choose the one with the scores with --scores: {listed}")
    chosen = names[0] if scores is None else scores
    missing = [name for name in (chosen, embedding) if name is not None and name not in names]
    if missing:
        raise ModelError(f"the network has no output {missing[0]!r}; it has {listed}")
    free = not isinstance(inputs[0].shape[0] if inputs[0].shape else 1, int)
    noise = np.random.default_rng(1).normal(0, 0.1, (3, *shape)).astype(np.float32)
    wanted = [chosen, *([embedding] if embedding else [])]
    fixed = None if free else int(inputs[0].shape[0])
    results = _run(session, wanted, np.concatenate([noise] * -(-(fixed or 1) // 3))[: fixed or 1], inputs[0])
    answer = results[0]
    if answer.ndim != 2 or (embedding and results[1].ndim != 2):
        raise ModelError(
            f"output {chosen!r} has shape {answer.shape}, expected (windows, classes): only networks with one answer a "
            "window can be wrapped"
        )
    if not np.isfinite(answer).all():
        raise ModelError(f"output {chosen!r} gives NaN or infinity for noise")
    if free:
        several = _run(session, wanted, noise, inputs[0])[0]
        if several.shape != (3, answer.shape[1]) or np.abs(several[0] - answer[0]).max() > 1e-3:
            raise ModelError(
                "the network says that its batch is free, but a window's scores change with the windows beside it; "
                "export it with a fixed batch of 1"
            )
    return Outputs(chosen, answer.shape[1], embedding, float(answer.min()), float(answer.max()))


def wrapped(model: onnx.ModelProto, manifest: Manifest, outputs: Outputs) -> bytes:
    """The network's file with the manifest in it. Raises ModelError where the activation cannot be right."""
    if manifest.activation == "none" and not outputs.in_unit_range:
        raise ModelError(
            f"output {outputs.scores!r} gives {outputs.lowest:.3g} to {outputs.highest:.3g} for noise, which are no "
            "scores in 0 to 1; say --activation sigmoid (several species at once) or softmax (one of them)"
        )
    kept = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, {**kept, METADATA_KEY: manifest.to_json()})
    return bytes(model.SerializeToString())


def _run(session: Any, names: list[str], values: FloatArray, source: Any) -> list[FloatArray]:
    try:
        return [np.asarray(result) for result in session.run(names, {source.name: values})]
    except Exception as error:  # ONNX Runtime's own classes derive from Exception directly
        reason = str(error).strip().splitlines()[-1]
        raise ModelError(
            f"the network takes {source.type} {source.shape} and refuses float32 {values.shape}: {reason}; "
            "check --rate, --window and --input"
        ) from error


def _flatten_channel(model: onnx.ModelProto, shape: tuple[int, ...]) -> None:
    """Samples `(n, frames)` in front of a network that takes `(n, 1, frames)`."""
    if len(shape) != 1 or len(model.graph.input) != 1:
        return
    source = model.graph.input[0]
    sizes = source.type.tensor_type.shape.dim
    if len(sizes) != 3 or sizes[1].dim_value != 1:
        return
    inner = source.name + "_with_channel"
    for node in model.graph.node:
        node.input[:] = [inner if name == source.name else name for name in node.input]
    with_channel = onnx.numpy_helper.from_array(np.array([0, 1, -1], np.int64), inner + "_shape")
    model.graph.initializer.append(with_channel)
    model.graph.node.insert(0, onnx.helper.make_node("Reshape", [source.name, with_channel.name], [inner]))
    del sizes[1]
