"""Networks of other kinds than EfficientNet, against timm's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import timm
import torch

from birdwatch.checkpoint.network import ModelArguments
from export.graph import export_graph
from export.network import Network


@pytest.mark.parametrize(
    ("arch", "normalisations"),
    [
        ("test_nfnet", 0),  # weights that are standardised at each call
        ("eca_nfnet_l0", 0),
        ("resnetv2_18", 9),  # a head of one 1 x 1 convolution, and normalisations before the layers
    ],
)
def test_the_graph_gives_timms_logits_and_embedding(arch: str, normalisations: int) -> None:
    torch.manual_seed(0)
    plain: Any = timm.create_model(arch, in_chans=1, num_classes=3)
    images = torch.rand(3, 1, 64, 96)
    with torch.no_grad():
        for _ in range(3):  # statistics of its own for each normalisation
            plain.train()(images)
        for name, parameter in plain.named_parameters():
            if "gain" in name:
                parameter.add_(0.1)
        logits = plain.eval()(images)
        embedding = plain.forward_head(plain.forward_features(images), pre_logits=True)
    network = Network(ModelArguments(3, arch), plain.state_dict())
    graph = export_graph(network, images[:2], input_name="mel", output_names=["logits", "embedding"])
    assert sum(node.op_type == "BatchNormalization" for node in graph.graph.node) == normalisations
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(None, {"mel": images.numpy()})
    for value, expected in zip(found, (logits, embedding), strict=True):
        np.testing.assert_allclose(value, expected.numpy(), rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
