"""The device that training uses, and whether it can compile for it."""

from __future__ import annotations

import os
import shutil

import torch

from birdwatch.errors import ConfigError

from .settings import Settings

__all__ = ["choose_device", "half_precision", "require_compiler"]


def choose_device(name: str) -> torch.device:
    """The device to train on; `auto` is CUDA where there is one. Raises ConfigError if it cannot be had."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device is {name!r}, expected auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device is {name!r}, but torch {torch.__version__} finds no CUDA here; use --device cpu")
    return device


def half_precision(settings: Settings, device: torch.device) -> torch.dtype | None:
    """What the network computes in beside float32 (autocast), None for float32 alone."""
    if device.type == "cuda":
        kind = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        return kind if settings.amp else None
    return torch.bfloat16 if settings.bf16 else None


def require_compiler(device: torch.device, option: str = "compile") -> None:
    """Raise ConfigError, before an hour of reading, where `option` lacks the C++ compiler that it needs on a CPU."""
    compiler = os.environ.get("CXX", "g++")
    if device.type == "cpu" and shutil.which(compiler) is None:
        raise ConfigError(
            f"{option} needs a C++ compiler and there is no {compiler}; install g++, or give --no-{option}"
        )
