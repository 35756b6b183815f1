"""Silero's voice activity network, out of its wheel on PyPI (MIT): what `privacy` needs."""

from __future__ import annotations

from pathlib import Path

from birdwatch.convert.archive import read_member
from birdwatch.errors import ModelError

__all__ = ["PROJECT", "read_network"]

PROJECT = "silero-vad"
# The variant that takes a sequence of chunks in one call.
INSIDE = "silero_vad/data/silero_vad_16k_sequence.onnx"
# The network has 1.2 MB; a hundred times that is an error.
MAX_BYTES = 20_000_000


def read_network(wheel: Path) -> bytes:
    """The network's file. Raises ModelError where the wheel does not have it."""
    try:
        return read_member(wheel, INSIDE, limit=MAX_BYTES)
    except ModelError as error:
        raise ModelError(
            f"{wheel} does not contain {INSIDE} ({error}); expected a wheel of {PROJECT} 6.2 or later", path=wheel
        ) from error
