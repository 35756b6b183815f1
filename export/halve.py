"""Half precision in a graph: weights stored in half the bytes, or the network computed in it on a GPU."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.transformers.float16 import convert_float_to_float16

__all__ = ["compute_in_half", "store_in_half", "widened"]

# Smaller tensors (the stem, depthwise filters, squeeze-and-excitation) are a twentieth of the file, and rounding them
# moves scores nearly twice as far: each feeds all that comes after.
SMALLEST = 20000
# Long sums and what makes scores of them stay in float32: pooling, the classifier, the last activation.
IN_FLOAT32 = [
    "AveragePool", "Clip", "Div", "Gemm", "GlobalAveragePool", "Log", "MatMul", "Pow", "ReduceMax", "ReduceMean",
    "ReduceMin", "ReduceSum", "Softmax",
]  # fmt: skip


def store_in_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with its large weights stored as float16 and cast to float32, once, when a session loads it.

    Only the weights' rounding changes the scores; the computing is as before.
    """
    stored = onnx.ModelProto()
    stored.CopyFrom(model)
    casts = []
    for tensor in stored.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < SMALLEST:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], name=f"{name}.widen", to=TensorProto.FLOAT))
    nodes = [*casts, *stored.graph.node]
    del stored.graph.node[:]
    stored.graph.node.extend(nodes)
    return stored


def widened(model: onnx.ModelProto) -> onnx.ModelProto:
    """The opposite of `store_in_half`: stored halves as float32 weights, as transformations of a graph expect them."""
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    tensors = {tensor.name: tensor for tensor in wide.graph.initializer}
    nodes = []
    for node in wide.graph.node:
        tensor = tensors.get(node.input[0]) if node.op_type == "Cast" else None
        if tensor is None or tensor.data_type != TensorProto.FLOAT16:
            nodes.append(node)
        else:
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, node.output[0]))
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del wide.graph.node[:]
    wide.graph.node.extend(kept)
    return wide


def compute_in_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """The network with its convolutions in float16, for CUDA; sums, classifier, inputs and outputs stay float32.

    A front end is fused to it afterwards, so that nothing of it is halved.
    """
    half = convert_float_to_float16(widened(model), keep_io_types=True, op_block_list=IN_FLOAT32)
    assert isinstance(half, onnx.ModelProto)
    del half.graph.value_info[:]
    _sort(half.graph)
    return half


def _sort(graph: onnx.GraphProto) -> None:
    """Put the nodes into an order in which each comes after those it reads; the conversion appends its casts."""
    known = {"", *(value.name for value in graph.input), *(tensor.name for tensor in graph.initializer)}
    waiting = [onnx.NodeProto.FromString(node.SerializeToString()) for node in graph.node]
    del graph.node[:]
    while waiting:
        ready = [node for node in waiting if known.issuperset(node.input)]
        assert ready  # a graph has no circles
        graph.node.extend(ready)
        known.update(name for node in ready for name in node.output)
        waiting = [node for node in waiting if not known.issuperset(node.output)]


def imitated_in_float32(half: onnx.ModelProto) -> onnx.ModelProto:
    """A float32 graph that rounds each result as `compute_in_half`'s does on a GPU: sums in float32, results in half.

    A CPU without half arithmetic runs the halved graph itself in float32 throughout, and would hide an overflow.
    """
    model = onnx.ModelProto()
    model.CopyFrom(half)
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
    nodes: list[onnx.NodeProto] = []
    for node in half.graph.node:
        widens = node.op_type == "Cast" and node.attribute[0].i == TensorProto.FLOAT
        if widens or node.op_type in IN_FLOAT32 or node.op_type == "Reshape":
            nodes.append(node)  # its input is float32 already, and the cast does nothing
            continue
        (output,) = node.output
        exact, rounded = f"{output}.exact", f"{output}.half"
        if node.op_type == "Cast":  # to half
            exact = node.input[0]
        else:
            nodes.append(onnx.NodeProto.FromString(node.SerializeToString()))
            nodes[-1].output[0] = exact
        nodes.append(helper.make_node("Cast", [exact], [rounded], name=f"{rounded}.narrow", to=TensorProto.FLOAT16))
        nodes.append(helper.make_node("Cast", [rounded], [output], name=f"{output}.widen", to=TensorProto.FLOAT))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model
