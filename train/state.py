"""The state of a fold's training (weights, optimizer, history): saved after each epoch, and restored to resume."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from birdwatch.checkpoint.file import load_tensors, save_tensors
from birdwatch.checkpoint.network import ModelArguments, build_network, pool_input, start_head
from birdwatch.checkpoint.sed import SedNetwork
from birdwatch.errors import ConfigError

from .depthwise import speed_up
from .device import half_precision
from .frontend import frontend_of
from .gather import Data
from .optimise import move_average
from .settings import RUNTIME, Settings
from .teacher_head import put_teacher_head
from .warm_start import freeze, frozen_stages
from .weights import load_initial

__all__ = ["Metrics", "State", "initial_network", "kept_settings", "require_same"]

Metrics = dict[str, float | None]


def initial_network(
    settings: Settings, data: Data, arguments: ModelArguments, *, say: Callable[[str], None]
) -> nn.Module:
    """The network that training starts from: timm's, a file's weights, a teacher's head."""
    network = build_network(
        arguments,
        drop_rate=settings.drop_rate,
        drop_path_rate=settings.drop_path_rate,
        pretrained=settings.pretrained,
    )
    require_images(network, settings, arguments)
    if settings.head_prior > 0:
        start_head(network, settings.head_prior)
    if settings.init:
        body = network.body if isinstance(network, SedNetwork) else network
        for line in load_initial(body, Path(settings.init), codes=data.codes):
            say(line)
    if data.teacher is not None:
        put_teacher_head(network, data.teacher, prior=settings.head_prior)
    return network


@torch.no_grad()
def require_images(network: nn.Module, settings: Settings, arguments: ModelArguments) -> None:
    """Raise ConfigError where the network does not take the images of the front end: many of timm's have one size."""
    spec = frontend_of(settings)
    images = pool_input(torch.zeros(1, 1, spec.height, spec.width), arguments.pool)
    try:
        network.eval()(images)
    except (RuntimeError, AssertionError) as error:
        size = " x ".join(map(str, images.shape[2:]))
        raise ConfigError(
            f"{arguments.arch} takes no images of {size} ({str(error).splitlines()[0][:120]}); choose another --arch, "
            "--input-pool or --image-width"
        ) from None


@dataclass(slots=True)
class State:
    """What an epoch changes.

    averaged: the moving average of the weights, where there is one. frozen: stages that are not trained. history:
    metrics by epoch. total: the sum of the last epochs' weights, for average.pt. best: the score of the epoch that
    best.pt holds.
    """

    network: nn.Module
    averaged: nn.Module | None
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    frozen: list[nn.Module] = field(default_factory=list)
    history: list[Metrics] = field(default_factory=list)
    total: dict[str, torch.Tensor] = field(default_factory=dict)
    best: float = -math.inf

    @classmethod
    def begin(cls, network: nn.Module, settings: Settings, device: torch.device) -> State:
        """The state before the first epoch, on the device."""
        # oneDNN's and cuDNN's convolutions are up to twice as fast with the channels last.
        network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if device.type == "cpu" and half_precision(settings, device) is not None:
            speed_up(network)
        averaged = copy.deepcopy(network).eval().requires_grad_(False) if settings.ema else None
        frozen = frozen_stages(network, settings.freeze_stages)
        freeze(frozen)
        learned = [value for value in network.parameters() if value.requires_grad]
        optimizer = torch.optim.AdamW(learned, lr=settings.lr, weight_decay=settings.weight_decay)
        # Gradients in float16 vanish unless they are scaled; bfloat16 has float32's range.
        scaled = half_precision(settings, device) == torch.float16
        return cls(network, averaged, optimizer, torch.amp.GradScaler(device.type, enabled=scaled), frozen)

    @property
    def kept(self) -> nn.Module:
        """The weights that are validated and kept."""
        return self.network if self.averaged is None else self.averaged

    def train_mode(self) -> None:
        """Dropout and batch statistics as in training, but for the stages that stay as they are."""
        self.network.train()
        freeze(self.frozen)

    def update(self, loss: torch.Tensor, rate: float, settings: Settings, step: int) -> None:
        """One step of the optimizer at the learning rate `rate`; step: counted from the first epoch on."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if settings.clip_grad > 0:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), settings.clip_grad)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.averaged is not None:
            move_average(self.averaged, self.network, settings.ema, step)

    def add_to_total(self) -> None:
        """Count the weights into the mean of the last epochs."""
        for name, tensor in self.kept.state_dict().items():
            self.total[name] = self.total.get(name, torch.zeros((), dtype=torch.float64)) + tensor.double()

    def load_mean(self, epochs: int) -> None:
        """Put the mean of the last epochs' weights into the network that is kept."""
        own = self.network.state_dict()
        self.kept.load_state_dict({name: (value / epochs).to(own[name]) for name, value in self.total.items()})

    def save(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Write all of it; identity: what a resumed run must share."""
        values = {
            "identity": dict(identity),
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict() if self.averaged is not None else {},
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "total": self.total,
            "history": self.history,
            "best": self.best,
        }
        save_tensors(path, values)

    def restore(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Read what `save` wrote; raises ConfigError where it is of another run."""
        state = load_tensors(path)
        require_same(state["identity"], identity, path)
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])
        self.history, self.total, self.best = state["history"], state["total"], state["best"]


def kept_settings(settings: Settings) -> dict[str, Any]:
    """The settings that decide the result; a run may be resumed on another device or from another folder."""
    return {name: value for name, value in asdict(settings).items() if name not in RUNTIME}


def require_same(found: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    """Raise ConfigError, naming what differs, if a state is not of this run."""
    # Settings that a state of an older version lacks are compared with their defaults.
    defaults = kept_settings(Settings())
    before, after = (
        defaults | side["settings"] | {"the data": side["data"], "the soft labels": side.get("soft", now["soft"])}
        for side in (found, now)
    )
    differing = [
        f"{name} was {before.get(name)!r}, is {after.get(name)!r}" for name in after if before.get(name) != after[name]
    ]
    if differing:
        raise ConfigError(
            f"{path} is of another run: {'; '.join(differing)}; continue with the same settings, or use another --out"
        )
