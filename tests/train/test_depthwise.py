"""Gradients of depthwise convolutions against torch's own in double precision."""

from __future__ import annotations

import copy
import os
import shutil
from itertools import pairwise

import pytest
import torch
from torch import nn

from birdwatch.errors import ConfigError
from train import depthwise
from train.depthwise import Depthwise, in_parts, speed_up

pytestmark = pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "g++")) is None, reason="there is no C++ compiler here"
)


def network(channels: int, size: int, stride: int, *, bias: bool = False) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, size, stride, size // 2, groups=channels, bias=bias)


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("shape", [(2, 16, 7, 9), (3, 48, 8, 5), (1, 32, 2, 3)])
@pytest.mark.parametrize("threads", [1, 3])
def test_gradients_are_those_of_double_precision(
    size: int, stride: int, shape: tuple[int, ...], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    torch.manual_seed(1)
    layer = nn.Sequential(network(shape[1], size, stride, bias=True))
    exact = copy.deepcopy(layer).double()
    # Both see the same numbers: those that bfloat16 can hold.
    images = torch.randn(shape).bfloat16()
    with torch.no_grad():
        for value, twin in zip(layer.parameters(), exact.parameters(), strict=True):
            value.copy_(value.bfloat16())
            twin.copy_(value)
    assert speed_up(layer) == 1
    seen, wanted = images.clone().requires_grad_(), images.double().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        answer = layer(seen)
    expected = exact(wanted)
    assert answer.dtype == torch.bfloat16
    torch.testing.assert_close(answer.double(), expected, rtol=2**-7, atol=2**-6)
    gradient = torch.randn(expected.shape).bfloat16()
    answer.backward(gradient)
    expected.backward(gradient.double())
    assert seen.grad is not None
    assert wanted.grad is not None
    torch.testing.assert_close(seen.grad.double(), wanted.grad, rtol=2**-7, atol=2**-6)
    for value, twin in zip(layer.parameters(), exact.parameters(), strict=True):
        assert value.grad is not None
        assert twin.grad is not None
        assert value.grad.dtype == torch.float32
        # float32 sums of at most 300 products; the bias's gradient is torch's own, rounded to bfloat16.
        tolerance = 2**-7 if value.ndim == 1 else 1e-5
        torch.testing.assert_close(value.grad.double(), twin.grad, rtol=tolerance, atol=tolerance * 10)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(16, 16, 3, padding=1),
        nn.Conv2d(16, 32, 3, padding=1, groups=16),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(16, 16, 7, padding=3, groups=16),
        nn.Conv2d(16, 16, 3, groups=16),
        nn.Conv2d(16, 16, 3, 3, padding=1, groups=16),
        nn.Conv2d(16, 16, 3, padding=2, dilation=2, groups=16),
        nn.Conv2d(16, 16, 3, padding=1, groups=16, padding_mode="reflect"),
        nn.Linear(16, 16),
    ],
)
def test_other_layers_stay_as_they_are(layer: nn.Module) -> None:
    kind = type(layer)
    assert speed_up(layer) == 0
    assert type(layer) is kind


def test_without_autocast_it_is_torchs_convolution() -> None:
    layer = network(16, 3, 1)
    images = torch.randn(2, 16, 6, 6)
    expected = layer(images)
    speed_up(layer)
    assert isinstance(layer, Depthwise)
    assert torch.equal(layer(images), expected)
    assert list(layer.state_dict()) == ["weight"]


def test_all_of_an_efficientnet_and_a_copy_of_it() -> None:
    import timm

    body = timm.create_model("efficientnet_b0", in_chans=1, num_classes=3)
    assert speed_up(body) == 16
    assert speed_up(body) == 0, "once"
    images = torch.rand(2, 1, 32, 64)
    with torch.autocast("cpu", torch.bfloat16):
        copy.deepcopy(body)(images).float().sum().backward()


def test_threads_share_the_channels_without_a_gap() -> None:
    seen: list[tuple[int, int]] = []
    in_parts(lambda first, last: seen.append((first, last)), 16 * 7)
    seen.sort()
    assert seen[0][0] == 0
    assert seen[-1][1] == 112
    assert all(one[1] == other[0] for one, other in pairwise(seen))


def test_a_missing_compiler_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    depthwise.library.cache_clear()
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(
        ConfigError, match=r"needs a C\+\+ compiler \(.*no-such-compiler.*install g\+\+, or give --no-bf16"
    ):
        speed_up(network(16, 3, 1))
