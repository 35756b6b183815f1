"""The model that ships with birdwatch, and its card."""

from __future__ import annotations

from pathlib import Path

from birdwatch.errors import ModelError

__all__ = ["built_in_model"]


def built_in_model() -> Path:
    """The ONNX file beside this module. Raises ModelError where the installation lacks it."""
    found = sorted(Path(__file__).parent.glob("*.onnx"))
    if len(found) != 1:
        raise ModelError(
            f"expected one built-in model in {Path(__file__).parent}, found {len(found)}; "
            "install birdwatch again, or name a model with --model"
        )
    return found[0]
