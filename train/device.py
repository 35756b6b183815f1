"""What training computes on: the device, and whether it can compile for it."""

from __future__ import annotations

import os
import shutil

import torch

from birdwatch.errors import ConfigError

__all__ = ["choose_device", "require_compiler"]


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


def require_compiler(device: torch.device) -> None:
    """Raise ConfigError, before an hour of reading, where torch.compile lacks the C++ compiler that a CPU needs."""
    compiler = os.environ.get("CXX", "g++")
    if device.type == "cpu" and shutil.which(compiler) is None:
        raise ConfigError(f"compile needs a C++ compiler and there is no {compiler}; install g++, or give --no-compile")
