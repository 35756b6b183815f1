"""`birdwatch model`: the commands around model files, each in a module of its own."""

from __future__ import annotations

import click

from birdwatch.cli.lazy_group import LazyGroup

__all__ = ["model"]

COMMANDS: dict[str, tuple[str, str]] = {
    "show": ("model_show", "What a model is: labels, front end, thresholds, licence, provenance, size."),
    "check": ("model_check", "Prove that a model gives its own answers on this machine."),
    "list": ("model_list", "The built-in model and those that were added."),
    "add": ("model_add", "Fetch BirdNET and make it a model that --model birdnet finds."),
    "add-silero": ("model_add_silero", "Fetch the voice activity network that the setting privacy needs."),
    "wrap": ("model_wrap", "Describe the labels and windows of another project's ONNX file."),
}


@click.group(cls=LazyGroup, table=COMMANDS, prefix="model_")
def model() -> None:
    """Look at models, add them, wrap those of others."""
