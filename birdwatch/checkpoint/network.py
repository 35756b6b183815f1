"""The network: a timm model on one channel, with an optional average pooling in front.

A checkpoint's model arguments rebuild it, without this module:

    network = timm.create_model(arch, pretrained=False, in_chans=in_chans, num_classes=num_classes)
    logits = network(F.avg_pool2d(images, (input_pool, input_pool_time or input_pool)))     # 1 means none
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import nn

from birdwatch.checkpoint.sed import SedNetwork
from birdwatch.errors import ConfigError, ModelError

__all__ = ["ModelArguments", "activated", "build_network", "head_name", "pool_input", "start_head", "state_faults"]


HEADS = ("linear", "sed")


@dataclass(frozen=True, slots=True)
class ModelArguments:
    """What rebuilds the network; `to_mapping` of it is a checkpoint's `model`.

    arch: timm's name. input_pool: side of the average pooling in front. 2 shows the network 128 x 128 of the front
    end's 256 x 256, a quarter of the work. input_pool_time: its width along time where that differs, 0 where it does
    not. head: `linear`, or `sed` with attention over time, which also scores `segments` equal parts of the window.
    """

    num_classes: int
    arch: str = "efficientnet_b0"
    in_chans: int = 1
    input_pool: int = 1
    input_pool_time: int = 0
    head: str = "linear"
    segments: int = 1

    def __post_init__(self) -> None:
        if self.num_classes < 1 or self.in_chans < 1 or self.input_pool < 1 or self.input_pool_time < 0:
            raise ConfigError(
                f"model arguments: num_classes {self.num_classes}, in_chans {self.in_chans} and input_pool "
                f"{self.input_pool} must be at least 1, input_pool_time {self.input_pool_time} at least 0"
            )
        if self.head not in HEADS or self.segments < 1 or (self.head == "linear" and self.segments > 1):
            raise ConfigError(
                f"model arguments: head {self.head!r} must be one of {', '.join(HEADS)}, segments {self.segments} at "
                "least 1, and above 1 only with sed"
            )

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> ModelArguments:
        """The arguments in a checkpoint; raises ModelError with all that is wrong."""
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
        if values.get("head", "linear") not in HEADS:
            faults.append(f"model argument head is {values['head']!r}, expected one of {', '.join(HEADS)}")
        if faults:
            raise ModelError("; ".join(faults))
        return cls(**values)

    def to_mapping(self) -> dict[str, Any]:
        """The arguments as plain values, which `from_mapping` reads; a linear head needs no `head` and `segments`."""
        values = asdict(self)
        return values if self.head != "linear" else {n: v for n, v in values.items() if n not in ("head", "segments")}

    @property
    def pool(self) -> tuple[int, int]:
        """Rows and columns of the image that are averaged into one."""
        return self.input_pool, self.input_pool_time or self.input_pool


def build_network(
    arguments: ModelArguments, *, drop_rate: float = 0.0, drop_path_rate: float = 0.0, pretrained: bool = False
) -> nn.Module:
    """The timm module that maps pooled images `(B, in_chans, H, W)` to logits `(B, num_classes)`.

    Its state_dict has timm's own keys. The drop rates matter in training only; `pretrained` lets timm fetch its
    ImageNet weights. Raises ConfigError if timm does not know the architecture or cannot get the weights.
    """
    if not timm.is_model(arguments.arch):
        raise ConfigError(f"timm {timm.__version__} knows no architecture {arguments.arch!r}; see timm.list_models()")
    # Not every network of timm has stochastic depth.
    depth: dict[str, Any] = {"drop_path_rate": drop_path_rate} if drop_path_rate > 0 else {}
    try:
        network = timm.create_model(
            arguments.arch,
            pretrained=pretrained,
            in_chans=arguments.in_chans,
            num_classes=0 if arguments.head == "sed" else arguments.num_classes,
            drop_rate=drop_rate,
            **depth,
        )
    except TypeError as error:
        if "drop_path_rate" not in str(error):
            raise
        raise ConfigError(f"{arguments.arch} has no stochastic depth; give --drop-path-rate 0") from None
    except (OSError, RuntimeError) as error:
        if not pretrained:
            raise
        reason = str(error).strip().splitlines()[0][:200]
        raise ConfigError(
            f"timm could not get the pretrained weights of {arguments.arch} ({reason}); "
            "without a network, give a local file with --init"
        ) from error
    assert isinstance(network, nn.Module)
    if arguments.head == "sed":
        return SedNetwork(network, arguments.num_classes, arguments.segments, drop_rate=drop_rate)
    return network


def head_name(network: nn.Module) -> str:
    """The dotted name of a network's last linear layer: `classifier`, `head.fc`, `fc`, ...

    Raises ConfigError where the network does not end in one linear layer.
    """
    if isinstance(network, SedNetwork):
        return "classifier"
    name = getattr(network, "pretrained_cfg", {}).get("classifier")
    if not isinstance(name, str) or not isinstance(network.get_submodule(name), nn.Linear):
        raise ConfigError(f"the network does not end in one linear layer (timm names {name!r}); choose another --arch")
    return name


def activated(logits: torch.Tensor, activation: str) -> torch.Tensor:
    """Scores in 0..1 of logits `(..., classes)`, as birdwatch makes them from a graph's output."""
    if activation == "sigmoid":
        return torch.sigmoid(logits)
    return torch.softmax(logits, dim=-1) if activation == "softmax" else logits


def start_head(network: nn.Module, prior: float) -> None:
    """Let a new head score every class at about `prior`, as rare as they are (Lin et al., Focal Loss, 2017).

    From one half it takes hundreds of steps until the many absent classes stop ruling the gradients.
    """
    sed = isinstance(network, SedNetwork)
    head = network.classifier if sed else network.get_classifier()  # type: ignore[operator]
    if not isinstance(head, (nn.Linear, nn.Conv2d)) or head.bias is None:
        raise ConfigError("the network's last layer has no bias for a prior; give --head-prior 0")
    nn.init.constant_(head.bias, math.log(prior / (1.0 - prior)))


def pool_input(images: torch.Tensor, pool: tuple[int, int]) -> torch.Tensor:
    """Images `(B, C, H, W)` averaged over `pool` rows and columns, `(B, C, H // rows, W // columns)`."""
    return images if pool == (1, 1) else F.avg_pool2d(images, pool)


def state_faults(arguments: ModelArguments, state: Mapping[str, Any]) -> list[str]:
    """What is wrong with the weights for this network: names, shapes, values."""
    with torch.device("meta"):
        expected = build_network(arguments).state_dict()
    faults = []
    for what, names in (
        ("lacks", sorted(set(expected) - set(state))),
        ("has unknown", sorted(str(name) for name in set(state) - set(expected))),
    ):
        if names:
            faults.append(f"the state_dict {what} {len(names)} tensors of {arguments.arch}, such as {names[0]!r}")
    for name in sorted(set(expected) & set(state)):
        tensor = state[name]
        if not isinstance(tensor, torch.Tensor):
            faults.append(f"{name} is a {type(tensor).__name__}, expected a tensor")
        elif tensor.shape != expected[name].shape:
            faults.append(f"{name} has shape {tuple(tensor.shape)}, expected {tuple(expected[name].shape)}")
        elif tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            faults.append(f"{name} holds NaN or infinity")
    return faults
