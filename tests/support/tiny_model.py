"""A small real network in a self-describing ONNX file, for tests that need a model and not a good one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from birdwatch.model.frontend import FrontendSpec
from birdwatch.model.manifest import METADATA_KEY, Label, Manifest

LABELS = (
    Label("gretit1", "Parus major", "Great Tit"),
    Label("eurrob1", "Erithacus rubecula", "European Robin"),
    Label("eurbla", "Turdus merula", "Eurasian Blackbird"),
)


def manifest(**changes: object) -> Manifest:
    spec = FrontendSpec()
    base = Manifest(
        name="tiny",
        labels=LABELS,
        rate_hz=spec.rate_hz,
        window_frames=spec.window_frames,
        frontend=spec,
        license="MIT",
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def write_tiny_model(path: Path, *, text: str | None = None, classes: int | None = None, **changes: object) -> Path:
    """Average 16 bands of the image over time, then a fixed linear layer: scores that depend on the audio.

    With `embedding_output="centred"` it also gives the 16 numbers that the layer sees.
    """
    described = manifest(**changes)
    outputs = len(described.labels) if classes is None else classes
    weights = np.random.default_rng(7).normal(0.0, 8.0, (16, outputs)).astype(np.float32)
    spec = FrontendSpec()
    if described.input == "mel":
        shape: list[str | int | None] = ["n", 1, spec.height, spec.width]
        to_bands = [helper.make_node("AveragePool", ["x"], ["p"], kernel_shape=[16, 256], strides=[16, 256])]
    else:
        frames = described.window_frames
        shape = ["n", frames]
        to_bands = [
            helper.make_node("Mul", ["x", "x"], ["squared"]),
            helper.make_node("Unsqueeze", ["squared", "one"], ["channel"]),
            helper.make_node("AveragePool", ["channel"], ["p"], kernel_shape=[frames // 16], strides=[frames // 16]),
        ]
    nodes = [
        *to_bands,
        helper.make_node("Flatten", ["p"], ["bands"]),
        helper.make_node("ReduceMean", ["bands", "one"], ["mean"]),
        helper.make_node("Sub", ["bands", "mean"], ["centred"]),
        helper.make_node("MatMul", ["centred", "w"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", outputs]),
            *(
                [helper.make_tensor_value_info("centred", TensorProto.FLOAT, ["n", 16])]
                if described.embedding_output == "centred"
                else []
            ),
        ],
        [
            numpy_helper.from_array(weights, "w"),
            numpy_helper.from_array(np.array([1], np.int64), "one"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {METADATA_KEY: described.to_json() if text is None else text})
    onnx.save(model, path)
    return path


NORTH_AND_EAST = ((1, 0), (0, 1), (0, 0))


def write_range_model(path: Path, *, weights: object = NORTH_AND_EAST, offsets: object = (0, 0)) -> Path:
    """Great tits live in the north, robins in the east, and it knows nothing of blackbirds; or as `weights` say."""
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["place", "w", "b"], ["z"]), helper.make_node("Sigmoid", ["z"], ["scores"])],
        "range",
        [helper.make_tensor_value_info("place", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 2])],
        [
            numpy_helper.from_array(np.array(weights, np.float32), "w"),
            numpy_helper.from_array(np.array(offsets, np.float32), "b"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    species = [label.scientific_name for label in LABELS[:2]]
    helper.set_model_props(model, {"birdwatch.range": json.dumps({"name": "tiny", "species": species})})
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path
