"""A PyTorch module as a clean ONNX graph: one file, a free batch dimension, nothing of the machine that made it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence

import onnx
import torch
from torch import nn

from birdwatch.errors import ModelError

__all__ = ["DEFAULT_OPSET", "OPSETS", "export_graph"]

DEFAULT_OPSET = 18
# torch's exporter writes 18 natively and converts upward; 18 brought the operators it builds on.
OPSETS = (18, 23)


def export_graph(
    module: nn.Module,
    example: torch.Tensor,
    *,
    input_name: str,
    output_names: Sequence[str],
    opset: int = DEFAULT_OPSET,
) -> onnx.ModelProto:
    """The graph of `module`, whose first dimension is free; `example` must hold two or more windows.

    Batch normalisation is folded into the convolutions before it; where there is none, it stays. Raises ModelError for
    an opset out of reach.
    """
    if not OPSETS[0] <= opset <= OPSETS[1]:
        raise ModelError(f"opset is {opset}, this version exports {OPSETS[0]} to {OPSETS[1]}")
    if len(example) < 2:
        # With one window the tracer may take the batch's 1 for a constant.
        raise ValueError(f"trace with two or more windows; got {len(example)}")
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # torch warns about its internals here; what it makes is verified against the network afterwards.
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module.eval(),
                (example,),
                dynamo=True,
                opset_version=opset,
                input_names=[input_name],
                output_names=list(output_names),
                dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
                external_data=False,
                verbose=False,
            )
    finally:
        log.setLevel(level)
    assert program is not None
    model = program.model_proto
    _clean(model, input_name=input_name, output_names=output_names)
    return model


def _clean(model: onnx.ModelProto, *, input_name: str, output_names: Sequence[str]) -> None:
    """Drop what tells of the exporting machine (stack traces with its paths) and name the free dimension `n`."""
    del model.metadata_props[:]
    model.producer_name, model.producer_version, model.doc_string = "birdwatch_export", "", ""
    graph = model.graph
    graph.name, graph.doc_string = "birdwatch", ""
    del graph.metadata_props[:]
    del graph.value_info[:]
    for item in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        item.doc_string = ""
        del item.metadata_props[:]
    assert [value.name for value in graph.input] == [input_name]
    assert [value.name for value in graph.output] == list(output_names)
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "n"
