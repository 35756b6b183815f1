"""`birdwatch model`: the commands around model files, each in a module of its own."""

from __future__ import annotations

import click

from birdwatch.lazy_group import LazyGroup

__all__ = ["model"]

COMMANDS: dict[str, tuple[str, str]] = {
    "add": ("model_add", "Fetch BirdNET and make it a model that --model birdnet finds."),
    "wrap": ("model_wrap", "Put labels and window into somebody else's ONNX file."),
}


@click.group(cls=LazyGroup, table=COMMANDS, prefix="model_")
def model() -> None:
    """Look at models, add them, wrap those of others."""
