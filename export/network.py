"""What export makes of a checkpoint's network: fewer labels, an average, an ensemble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.std_conv import ScaledStdConv2d, ScaledStdConv2dSame, StdConv2d, StdConv2dSame
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from birdwatch.checkpoint.network import ModelArguments, activated, build_network, pool_input
from birdwatch.checkpoint.sed import SedNetwork
from birdwatch.errors import ModelError
from birdwatch.scores.blending import power_mean

__all__ = ["Ensemble", "Network", "average_states", "count_macs", "count_parameters"]

STANDARDISED = (StdConv2d, StdConv2dSame, ScaledStdConv2d, ScaledStdConv2dSame)


class Network(nn.Module):
    """Images `(n, 1, height, width)` in; logits `(n, classes)` and the embedding under them `(n, features)` out.

    keep: which outputs to have, in this order (default: all).
    """

    def __init__(
        self, arguments: ModelArguments, state: Mapping[str, torch.Tensor], keep: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        self.pool = arguments.pool
        # timm's models have methods that nn.Module does not declare.
        self.body: Any = build_network(arguments)
        self.body.load_state_dict(dict(state))
        if keep is not None:
            _keep_outputs(self.body, keep)
        _settle_convolutions(self.body)
        self.eval().requires_grad_(False)

    def forward(self, mel: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Logits `(n, classes)` and embedding `(n, features)`; of a sed head also `(n, segments, classes)`."""
        if isinstance(self.body, SedNetwork):
            clip, embedding, parts = self.body.outputs(pool_input(mel, self.pool))
            return (clip, embedding, parts) if self.body.segments > 1 else (clip, embedding)
        embedding = self.body.forward_head(self.body.forward_features(pool_input(mel, self.pool)), pre_logits=True)
        head = self.body.get_classifier()
        if isinstance(head, nn.Conv2d):  # one of 1 x 1, as in timm's ResNetV2
            return head(embedding[:, :, None, None]).flatten(1), embedding
        return head(embedding), embedding


def _keep_outputs(body: Any, keep: Sequence[int]) -> None:
    """Leave only some of a timm model's outputs, in the order of `keep`."""
    if isinstance(body, SedNetwork):
        body.attention, body.classifier = _rows_of(body.attention, keep), _rows_of(body.classifier, keep)
        return
    old = body.get_classifier()
    if not isinstance(old, nn.Linear):
        raise ModelError("the network does not end in one linear layer, so labels cannot be dropped from it")
    body.reset_classifier(len(keep))
    new = body.get_classifier()
    with torch.no_grad():
        new.weight.copy_(old.weight[torch.tensor(keep)])
        new.bias.copy_(old.bias[torch.tensor(keep)])


@torch.no_grad()
def _settle_convolutions(body: nn.Module) -> None:
    """Replace convolutions that standardise their weights at each call by plain ones with the standardised weights."""
    for name, layer in list(body.named_modules()):
        if not isinstance(layer, STANDARDISED):
            continue
        old: Any = layer
        gain = (old.gain * old.scale).view(-1) if isinstance(layer, (ScaledStdConv2d, ScaledStdConv2dSame)) else None
        rows = old.weight.reshape(1, old.out_channels, -1)
        weight = F.batch_norm(rows, None, None, weight=gain, training=True, momentum=0.0, eps=old.eps)
        plain: Any = Conv2dSame if getattr(old, "same_pad", False) else nn.Conv2d
        new = plain(
            old.in_channels, old.out_channels, old.kernel_size, stride=old.stride, padding=old.padding,
            dilation=old.dilation, groups=old.groups, bias=old.bias is not None,
        )  # fmt: skip
        new.weight.copy_(weight.reshape_as(old.weight))
        if old.bias is not None:
            new.bias.copy_(old.bias)
        parent, _, leaf = name.rpartition(".")
        setattr(body.get_submodule(parent), leaf, new)


def _rows_of(layer: nn.Linear, keep: Sequence[int]) -> nn.Linear:
    """A linear layer with only some of its outputs."""
    new = nn.Linear(layer.in_features, len(keep))
    with torch.no_grad():
        new.weight.copy_(layer.weight[torch.tensor(keep)])
        new.bias.copy_(layer.bias[torch.tensor(keep)])
    return new


class Ensemble(nn.Module):
    """The power mean of its members' probabilities (1: the mean), so its scores need no activation; no embedding.

    Members with segments give the same of those as a second output.
    """

    def __init__(self, members: Sequence[Network], activation: str, power: float = 1.0) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.activation = activation
        self.power = power

    def forward(self, mel: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Probabilities `(n, classes)`, and `(n, segments, classes)` where the members have segments."""
        answers = [member(mel) for member in self.members]
        scores = self._blended([answer[0] for answer in answers])
        return scores if len(answers[0]) < 3 else (scores, self._blended([answer[2] for answer in answers]))

    def _blended(self, logits: list[torch.Tensor]) -> torch.Tensor:
        blended = power_mean(torch.stack([activated(each, self.activation) for each in logits]), self.power)
        assert isinstance(blended, torch.Tensor)
        return blended


def average_states(states: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The mean of each tensor, summed in float64; counters are the first one's."""
    return {
        name: torch.stack([state[name].double() for state in states]).mean(dim=0).to(first.dtype)
        if first.is_floating_point()
        else first
        for name, first in states[0].items()
    }


def count_parameters(network: nn.Module) -> int:
    """Learned numbers, before batch normalisation is folded into the convolutions."""
    return sum(parameter.numel() for parameter in network.parameters())


def count_macs(network: nn.Module, example: torch.Tensor) -> int:
    """Multiply-adds of convolutions and matrix products for one window."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(example[:1])
    return int(counter.get_total_flops()) // 2
