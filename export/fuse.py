"""One graph from samples to scores: the front end's graph put before the network's."""

from __future__ import annotations

from functools import lru_cache

import onnx
import torch
from onnx import compose

from birdwatch.checkpoint.frontend import FrontEnd
from birdwatch.model.frontend import FrontendSpec
from birdwatch.model.probe import probe_clips

from .graph import export_graph

__all__ = ["fused"]

# Begins the name of every node and table of the front end.
PREFIX = "frontend/"


def fused(network: onnx.ModelProto, spec: FrontendSpec) -> onnx.ModelProto:
    """The graph that takes `waveform` `(n, window_frames)` where `network` takes the images of `spec`.

    Raises ModelError for a front end that cannot be fused.
    """
    opset = next(item.version for item in network.opset_import if item.domain in ("", "ai.onnx"))
    front = onnx.ModelProto()
    front.CopyFrom(_front_end(spec, opset))
    front.ir_version = network.ir_version
    model = compose.merge_models(front, network, io_map=[(f"{PREFIX}image", network.graph.input[0].name)])
    model.producer_name, model.graph.name = network.producer_name, network.graph.name
    return model


@lru_cache(maxsize=4)
def _front_end(spec: FrontendSpec, opset: int) -> onnx.ModelProto:
    example = torch.from_numpy(probe_clips(spec.window_frames)[:2])
    front = export_graph(FrontEnd(spec), example, input_name="waveform", output_names=["image"], opset=opset)
    return compose.add_prefix(front, PREFIX, rename_inputs=False)
