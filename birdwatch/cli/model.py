"""`birdwatch model`: the commands for model files, one module each."""

from __future__ import annotations

import click

from birdwatch.cli.lazy_group import LazyGroup

__all__ = ["model"]

COMMANDS: dict[str, tuple[str, str]] = {
    "show": ("model_show", "Show a model's labels, front end, thresholds, licence, provenance and size."),
    "check": ("model_check", "Compare a model's scores on this machine with those of its export."),
    "list": ("model_list", "List the built-in model and added ones."),
    "add": ("model_add", "Download BirdNET and add it as --model birdnet."),
    "add-silero": ("model_add_silero", "Download the voice activity network that the setting privacy needs."),
    "wrap": ("model_wrap", "Add a manifest to another project's ONNX file."),
}


@click.group(cls=LazyGroup, table=COMMANDS, prefix="model_")
def model() -> None:
    """Show, check and add models, and wrap other projects' networks."""
