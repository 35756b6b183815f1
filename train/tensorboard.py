"""The curves of a run for TensorBoard, where its package is installed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from birdwatch.errors import ConfigError
from birdwatch.extras import install_command

__all__ = ["log_epoch", "require_tensorboard"]


def require_tensorboard() -> None:
    """Raise ConfigError, before anything is computed, where the package is missing."""
    if find_spec("tensorboard") is None:
        raise ConfigError(
            f"--tensorboard needs a package: {install_command('tensorboard')} (curves.png shows the same)"
        )


def log_epoch(folder: Path, metrics: Mapping[str, float | None]) -> None:
    """Append an epoch's metrics to the event files in `folder`."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for name, value in metrics.items():
            if name != "epoch" and value is not None:
                writer.add_scalar(name, value, int(metrics["epoch"] or 0))
