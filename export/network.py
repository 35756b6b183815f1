"""The network that a checkpoint describes, built again with timm, and what export makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import timm
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from birdwatch.errors import ModelError

__all__ = ["Ensemble", "Network", "NetworkSpec", "average_states", "count_macs", "count_parameters", "state_faults"]


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """The arguments that rebuild a network.

    arch: timm's name. input_pool: the image is averaged over squares of so many pixels before the network sees it;
    input_pool_time: over so many along time, where that differs (0: it does not).
    """

    arch: str
    num_classes: int
    in_chans: int = 1
    input_pool: int = 1
    input_pool_time: int = 0

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> NetworkSpec:
        """The spec in a checkpoint; raises ModelError with all that is wrong."""
        known = {item.name: item.type for item in fields(cls)}
        faults = [f"unknown model argument {name!r}" for name in sorted(set(values) - set(known))]
        faults += [f"missing model argument {name!r}" for name in ("arch", "num_classes") if name not in values]
        for name, value in values.items():
            least = 0 if name == "input_pool_time" else 1
            if known.get(name) == "int" and (not isinstance(value, int) or value < least):
                faults.append(f"model argument {name} is {value!r}, expected a whole number from {least}")
        arch = values.get("arch")
        if arch is not None and (not isinstance(arch, str) or not timm.is_model(arch)):
            faults.append(f"model argument arch is {arch!r}, which this timm ({timm.__version__}) does not know")
        if faults:
            raise ModelError("; ".join(faults))
        return cls(**values)

    def to_mapping(self) -> dict[str, Any]:
        """The arguments, for the manifest's provenance."""
        return asdict(self)


class Network(nn.Module):
    """Images `(n, 1, height, width)` in; logits `(n, classes)` and the embedding under them `(n, features)` out.

    keep: which outputs to have, in this order (default: all).
    """

    def __init__(self, spec: NetworkSpec, state: Mapping[str, torch.Tensor], keep: Sequence[int] | None = None) -> None:
        super().__init__()
        pool = (spec.input_pool, spec.input_pool_time or spec.input_pool)
        self.pool = nn.AvgPool2d(pool) if pool != (1, 1) else nn.Identity()
        # timm's models have methods that nn.Module does not declare.
        self.body: Any = timm.create_model(
            spec.arch, pretrained=False, in_chans=spec.in_chans, num_classes=spec.num_classes
        )
        self.body.load_state_dict(dict(state))
        if keep is not None:
            _keep_outputs(self.body, keep)
        self.eval().requires_grad_(False)

    def forward(self, mel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits `(n, classes)` and embedding `(n, features)`."""
        embedding = self.body.forward_head(self.body.forward_features(self.pool(mel)), pre_logits=True)
        return self.body.get_classifier()(embedding), embedding


def _keep_outputs(body: Any, keep: Sequence[int]) -> None:
    """Leave only some of a timm model's outputs, in the order of `keep`."""
    old = body.get_classifier()
    if not isinstance(old, nn.Linear):
        raise ModelError("the network does not end in one linear layer, so labels cannot be dropped from it")
    body.reset_classifier(len(keep))
    new = body.get_classifier()
    with torch.no_grad():
        new.weight.copy_(old.weight[torch.tensor(keep)])
        new.bias.copy_(old.bias[torch.tensor(keep)])


class Ensemble(nn.Module):
    """The mean of its members' probabilities, so its scores need no activation; it has no embedding."""

    def __init__(self, members: Sequence[Network], activation: str) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.activation = activation

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """Probabilities `(n, classes)`."""
        total = sum(activated(member(mel)[0], self.activation) for member in self.members)
        assert isinstance(total, torch.Tensor)
        return total / len(self.members)


def activated(logits: torch.Tensor, activation: str) -> torch.Tensor:
    """Scores in 0..1, as birdwatch makes them from a graph's output."""
    if activation == "sigmoid":
        return torch.sigmoid(logits)
    return torch.softmax(logits, dim=1) if activation == "softmax" else logits


def state_faults(spec: NetworkSpec, state: Mapping[str, Any]) -> list[str]:
    """What is wrong with the weights for this network: names, shapes, values."""
    with torch.device("meta"):
        expected = timm.create_model(
            spec.arch, pretrained=False, in_chans=spec.in_chans, num_classes=spec.num_classes
        ).state_dict()
    faults = []
    for what, names in (
        ("lacks", sorted(set(expected) - set(state))),
        ("has unknown", sorted(str(name) for name in set(state) - set(expected))),
    ):
        if names:
            faults.append(f"the state_dict {what} {len(names)} tensors of {spec.arch}, such as {names[0]!r}")
    for name in sorted(set(expected) & set(state)):
        tensor = state[name]
        if not isinstance(tensor, torch.Tensor):
            faults.append(f"{name} is a {type(tensor).__name__}, expected a tensor")
        elif tensor.shape != expected[name].shape:
            faults.append(f"{name} has shape {tuple(tensor.shape)}, expected {tuple(expected[name].shape)}")
        elif tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            faults.append(f"{name} holds NaN or infinity")
    return faults


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
