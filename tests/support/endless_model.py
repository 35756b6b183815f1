"""A model whose graph never ends: a Loop without a bound, whose condition stays true."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tiny_model import manifest

from birdwatch.model.manifest import METADATA_KEY


def write_endless_model(path: Path) -> Path:
    described = manifest(input="waveform", frontend=None, activation="none")
    body = helper.make_graph(
        [helper.make_node("Identity", ["condition"], ["again"]), helper.make_node("Identity", ["value"], ["next"])],
        "body",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("condition", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
        ],
    )
    weights = np.zeros((described.window_frames, len(described.labels)), np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["first"]),
            helper.make_node("Loop", ["", "true", "first"], ["scores"], body=body),
        ],
        "endless",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", described.window_frames])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", len(described.labels)])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.array(True), "true")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {METADATA_KEY: described.to_json()})
    onnx.save(model, str(path))
    return path
