"""The network: timm's EfficientNetB0 on one channel, with an optional average pooling in front.

A checkpoint's model arguments rebuild it, without this module:

    network = timm.create_model(arch, pretrained=False, in_chans=in_chans, num_classes=num_classes)
    logits = network(F.avg_pool2d(images, (input_pool, input_pool_time or input_pool)))     # 1 means none
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import timm
import torch
import torch.nn.functional as F
from torch import nn

from birdwatch.errors import ConfigError

__all__ = ["ModelArguments", "build_network", "pool_input", "start_head"]


@dataclass(frozen=True, slots=True)
class ModelArguments:
    """What rebuilds the network; `dataclasses.asdict` of it is a checkpoint's `model`.

    input_pool: side of the average pooling in front. 2 shows the network 128 x 128 of the front end's 256 x 256,
    a quarter of the work. input_pool_time: its width along time where that differs, 0 where it does not.
    """

    num_classes: int
    arch: str = "efficientnet_b0"
    in_chans: int = 1
    input_pool: int = 1
    input_pool_time: int = 0

    def __post_init__(self) -> None:
        if self.num_classes < 1 or self.in_chans < 1 or self.input_pool < 1 or self.input_pool_time < 0:
            raise ConfigError(
                f"model arguments: num_classes {self.num_classes}, in_chans {self.in_chans} and input_pool "
                f"{self.input_pool} must be at least 1, input_pool_time {self.input_pool_time} at least 0"
            )

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
    try:
        network = timm.create_model(
            arguments.arch,
            pretrained=pretrained,
            in_chans=arguments.in_chans,
            num_classes=arguments.num_classes,
            drop_rate=drop_rate,
            drop_path_rate=drop_path_rate,
        )
    except (OSError, RuntimeError) as error:
        if not pretrained:
            raise
        reason = str(error).strip().splitlines()[0][:200]
        raise ConfigError(
            f"timm could not get the pretrained weights of {arguments.arch} ({reason}); "
            "without a network, give a local file with --init"
        ) from error
    assert isinstance(network, nn.Module)
    return network


def start_head(network: nn.Module, prior: float) -> None:
    """Let a new head score every class at about `prior`, as rare as they are (Lin et al., Focal Loss, 2017).

    From one half it takes hundreds of steps until the many absent classes stop ruling the gradients.
    """
    head = network.get_classifier()  # type: ignore[operator]
    assert isinstance(head, nn.Linear)
    nn.init.constant_(head.bias, math.log(prior / (1.0 - prior)))


def pool_input(images: torch.Tensor, pool: tuple[int, int]) -> torch.Tensor:
    """Images `(B, C, H, W)` averaged over `pool` rows and columns, `(B, C, H // rows, W // columns)`."""
    return images if pool == (1, 1) else F.avg_pool2d(images, pool)
