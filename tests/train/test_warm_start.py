"""An exported network is trained on as if it had never been exported, and a head starts where least squares put it."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import nn

from birdwatch.checkpoint.network import ModelArguments, build_network, pool_input
from birdwatch.errors import ModelError
from birdwatch.model.builtin import built_in_model
from train.warm_start import freeze, frozen_stages, norm_after, read_exported, ridge, set_statistics

SIDE = 64


def lively(seed: int = 3) -> nn.Module:
    """A network whose batch normalisations are no identities."""
    torch.manual_seed(seed)
    network = build_network(ModelArguments(3))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.bias, std=0.2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            module.running_mean.normal_(0.0, 0.2)
            module.running_var.uniform_(0.5, 2.0)
    return network.eval()


def images(count: int = 24, seed: int = 4) -> torch.Tensor:
    return torch.rand(count, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def test_statistics_change_no_answer_and_are_those_of_the_images() -> None:
    network = lively()
    before = network(images())
    set_statistics(network, images().split(8))
    torch.testing.assert_close(network(images()), before, rtol=1e-3, atol=1e-4)
    # The stem's normalisation sees the stem's output: measured here without a hook.
    seen = network.conv_stem(images())
    torch.testing.assert_close(network.bn1.running_mean, seen.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network.bn1.running_var, seen.var((0, 2, 3), unbiased=False), rtol=1e-3, atol=1e-6)


def test_with_them_training_mode_answers_nearly_as_evaluation_does() -> None:
    network = lively()
    before = network(images())
    far = (copy.deepcopy(network).train()(images()) - before).abs().mean()
    set_statistics(network, images().split(8))
    near = (network.train()(images()) - before).abs().mean()
    assert near < 0.2 * far


def test_every_normalisation_of_the_network_is_named() -> None:
    network = build_network(ModelArguments(3))
    norms = {name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}
    convolutions = [
        name for name, module in network.named_modules() if isinstance(module, nn.Conv2d) and module.bias is None
    ]
    assert {norm_after(name) for name in convolutions} == norms
    assert len(convolutions) == len(norms)


def test_ridge_equals_scikit_learn() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(1.0, [1.0, 2.0, 0.1, 3.0], (200, 4))
    y = x @ rng.normal(size=(4, 2)) + rng.normal(size=(200, 2)) + 5.0
    weight, bias = ridge(x, y, 0.3)
    other = Ridge(alpha=0.3 * x.var(axis=0).mean() * len(x)).fit(x, y)
    np.testing.assert_allclose(weight, other.coef_, rtol=1e-9)
    np.testing.assert_allclose(bias, other.intercept_, rtol=1e-9)


def test_frozen_stages_have_no_gradients_and_keep_their_statistics() -> None:
    network = lively().train()
    frozen = frozen_stages(network, 3)
    freeze(frozen)
    before = copy.deepcopy(network.state_dict())
    network(images(8)).sum().backward()
    moved = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert not any(name.startswith(("bn1", "blocks.0", "blocks.1", "blocks.2")) for name in moved)
    assert any(name.startswith("blocks.3") for name in moved)
    graded = {name for name, value in network.named_parameters() if value.grad is not None}
    assert not any(name.startswith(("conv_stem", "bn1", "blocks.0", "blocks.1", "blocks.2")) for name in graded)
    assert {"blocks.3.0.conv_pw.weight", "conv_head.weight"} <= graded
    assert frozen_stages(network, 0) == []


def test_the_built_in_model_is_read_back_into_torch() -> None:
    own = build_network(ModelArguments(3)).state_dict()
    network = build_network(ModelArguments(3))
    network.load_state_dict(own | read_exported(built_in_model(), own))
    image = images(2).repeat(1, 1, 4, 4)  # 256 x 256
    session = onnxruntime.InferenceSession(built_in_model(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(["embedding"], {session.get_inputs()[0].name: image.numpy()})
    with torch.no_grad():
        maps = network.eval().forward_features(pool_input(image, (2, 1)))
        found = network.forward_head(maps, pre_logits=True)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-3)
    assert expected.std() > 0.02


@pytest.mark.parametrize("content", [b"", b"no network", bytes(range(256))])
def test_what_is_no_export_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"w\.onnx"):
        read_exported(path, {})
