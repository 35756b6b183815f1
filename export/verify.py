"""The proof that a written model gives its network's scores, by the very code that the daemon runs it with."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from birdwatch.audio.types import FloatArray
from birdwatch.errors import InferenceError, ModelError
from birdwatch.model.classifier import OnnxClassifier

__all__ = ["BATCHES", "TOLERANCE", "Kind", "Parity", "measure", "require"]

BATCHES = (1, 3, 8)


@dataclass(frozen=True, slots=True)
class Kind:
    """What an export may change: where the front end is, how weights are stored, what the network is computed in."""

    fused: bool = False
    storage: str = "fp32"
    precision: str = "fp32"

    @property
    def name(self) -> str:
        """In words, for messages and the report."""
        words = ["fused"] if self.fused else []
        words += ["fp16 for CUDA"] if self.precision == "fp16" else []
        words += ["stored as fp16"] if self.storage == "fp16" and self.precision == "fp32" else []
        return ", ".join(words) or "fp32"

    @property
    def tolerance(self) -> float:
        """How far a probability may move from the network's own."""
        if self.precision == "fp16":
            return TOLERANCE["fp16"]
        return TOLERANCE["fused"] if self.fused or self.storage == "fp16" else TOLERANCE["fp32"]


# The largest difference in a probability. Beyond it something is wrong, not merely rounded.
TOLERANCE = {"fp32": 1e-5, "fused": 1e-3, "fp16": 5e-3}


@dataclass(frozen=True, slots=True)
class Parity:
    """The largest difference in a probability at each batch size, over all windows and labels."""

    differences: dict[int, float]
    windows: str

    @property
    def largest(self) -> float:
        """Over all batch sizes."""
        return max(self.differences.values())


def measure(
    classifier: OnnxClassifier, reference: Callable[[FloatArray], FloatArray], samples: FloatArray, windows: str
) -> Parity:
    """Score `samples` `(B, window_frames)` in batches of 1, 3 and 8 and compare with `reference`.

    The difference is infinite where the model answers with NaN or infinity.
    """
    expected = np.concatenate([reference(samples[i : i + 8]) for i in range(0, len(samples), 8)])
    differences = {}
    for batch in BATCHES:
        try:
            scores = np.concatenate([classifier.score(samples[i : i + batch]) for i in range(0, len(samples), batch)])
        except InferenceError:  # NaN or infinity, as where half precision overflows
            differences[batch] = math.inf
            continue
        differences[batch] = float(np.abs(scores - expected).max())
    return Parity(differences, windows)


def require(parity: Parity, kind: Kind) -> None:
    """Raise ModelError if the scores moved further than this kind of export may move them."""
    if not parity.largest <= kind.tolerance:
        batch = max(parity.differences, key=lambda size: parity.differences[size])
        raise ModelError(
            f"the {kind.name} model moves a probability by {parity.largest:.2g} (batch {batch}, {parity.windows}), "
            f"more than {kind.tolerance:g}; it is not written"
            + ("; export with --precision fp32" if kind.precision == "fp16" else "")
        )
