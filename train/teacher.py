"""A teacher's embeddings of the recordings and its classifier, in one file.

`train teach --embeddings-out` writes it, `train fit --teacher` reads it.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, cast

import numpy as np
import numpy.typing as npt

from birdwatch.atomic_write import written_beside
from birdwatch.audio.types import FloatArray
from birdwatch.errors import ConfigError

from .soft_labels import speaking

__all__ = ["LARGEST_RESIDUAL", "Classifier", "Embeddings", "Teacher", "classifier_of", "read_teacher", "write_teacher"]

# sigmoid: logits of its scores. centred: those of a softmax, less their mean over the classes, which is not known.
# none: its scores are no linear map of its embeddings, so only these are learnt.
Classifier = Literal["sigmoid", "centred", "none"]
# Columns of the embedding with hardly any variance are not amplified.
LEAST_SPREAD = 1e-3
# BirdNET's, whose embeddings are kept in half precision here, gives 0.005.
LARGEST_RESIDUAL = 0.1


@dataclass(frozen=True, slots=True)
class Embeddings:
    """A teacher's embeddings of one recording: `values` `(windows, size)`, spans `(windows,)` in seconds."""

    start_s: npt.NDArray[np.float64]
    end_s: npt.NDArray[np.float64]
    values: npt.NDArray[np.floating]

    def mean(self, start_s: float, window_s: float) -> FloatArray | None:
        """The mean `(size,)` of those that apply to the window at `start_s`; None if none does."""
        speaks = speaking(np.array([start_s]), window_s, self.start_s, self.end_s)[0]
        return self.values[speaks].mean(axis=0, dtype=np.float32) if speaks.any() else None


@dataclass(frozen=True, slots=True)
class Teacher:
    """What a teacher gives beside its labels.

    recordings: its embeddings by filename. weight `(classes, size)`, bias `(classes,)`: its classifier for our classes,
    in their order. known: boolean `(classes,)`; the rows of classes that it does not know are 0. mean and spread
    `(size,)`: of the embeddings. kind: what the classifier gives, see `Classifier`.
    """

    recordings: Mapping[str, Embeddings]
    weight: FloatArray
    bias: FloatArray
    known: npt.NDArray[np.bool_]
    mean: FloatArray
    spread: FloatArray
    kind: Classifier = "sigmoid"

    @property
    def size(self) -> int:
        """Numbers in an embedding."""
        return len(self.mean)


def read_teacher(path: Path, codes: Sequence[str]) -> Teacher:
    """Read what `train teach --embeddings-out` wrote, its classes put into the order of `codes`; raises ConfigError."""
    try:
        with np.load(path) as file:
            held = {name: file[name] for name in file.files}
        own = {str(held["codes"][number]): number for number in np.flatnonzero(held["known"])}
        names, first = held["filenames"].tolist(), held["first"].tolist()
        values, start_s, end_s = held["embeddings"], held["start_s"], held["end_s"]
        rows = [own.get(code, -1) for code in codes]
        kind = cast("Classifier", str(held["kind"]) if "kind" in held else "sigmoid")
        weight, bias = held["weight"][rows], held["bias"][rows]
    except OSError as error:
        raise ConfigError(f"no teacher's embeddings {path}: {error.strerror or error}") from None
    except (KeyError, ValueError, IndexError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path} is not a file of `train teach --embeddings-out`: {error}") from None
    known = np.array([row >= 0 for row in rows])
    if not known.any() and kind != "none":
        raise ConfigError(f"{path}: it was made for other classes; run teach again with the same --taxonomy")
    recordings = {
        name: Embeddings(start_s[begin:end], end_s[begin:end], values[begin:end])
        for name, begin, end in zip(names, first, [*first[1:], len(values)], strict=True)
    }
    return Teacher(
        recordings,
        np.where(known[:, None], weight, 0.0).astype(np.float32),
        np.where(known, bias, 0.0).astype(np.float32),
        known,
        values.mean(axis=0, dtype=np.float64).astype(np.float32),
        np.maximum(values.std(axis=0, dtype=np.float64), LEAST_SPREAD).astype(np.float32),
        kind,
    )


def write_teacher(
    path: Path,
    recordings: Mapping[str, Embeddings],
    codes: Sequence[str],
    known: Sequence[int],
    scores: npt.NDArray[np.float32],
    *,
    activation: str = "sigmoid",
) -> float:
    """Write what `read_teacher` reads, whole or not at all.

    scores: the teacher's `(windows, len(known))` of the classes with the numbers `known`, for all windows of all
    `recordings` in their order. activation: what made them. Returns how far they are from a linear map of the
    embeddings; from `LARGEST_RESIDUAL` on, no classifier is written.
    """
    values = np.concatenate([item.values for item in recordings.values()]).astype(np.float16)
    weight, bias, residual = classifier_of(values, scores, activation=activation)
    kind: Classifier = "centred" if activation == "softmax" else "sigmoid"
    # A single class of a softmax, less its mean, is nothing.
    if residual > LARGEST_RESIDUAL or (kind == "centred" and len(known) < 2):
        kind, known, weight, bias = "none", [], weight[:0], bias[:0]
    of_all = np.zeros((len(codes), values.shape[1] + 1), np.float32)
    of_all[list(known)] = np.column_stack([weight, bias])
    is_known = np.zeros(len(codes), np.bool_)
    is_known[list(known)] = True
    with written_beside(path, binary=True) as stream:
        np.savez_compressed(
            cast("IO[bytes]", stream),
            filenames=np.array(list(recordings)),
            first=np.cumsum([0, *(len(item.values) for item in recordings.values())])[:-1],
            start_s=np.concatenate([item.start_s for item in recordings.values()]),
            end_s=np.concatenate([item.end_s for item in recordings.values()]),
            embeddings=values,
            codes=np.array(codes),
            known=is_known,
            weight=of_all[:, :-1],
            bias=of_all[:, -1],
            kind=np.array(kind),
        )
    return residual


def classifier_of(
    embeddings: npt.NDArray[np.floating], scores: npt.NDArray[np.float32], *, activation: str = "sigmoid"
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], float]:
    """The teacher's classifier: weight `(classes, size)` and bias `(classes,)` that turn embeddings into its logits.

    By least squares over windows `(windows, size)` and their scores `(windows, classes)` in 0..1, so that it needs to
    know nothing of how the teacher is built; third, the root mean square of what is left. A softmax's scores give
    logits up to a number for each window, so those are of the logits less their mean over these classes.
    """
    p = np.clip(scores.astype(np.float64), 1e-30, 1.0 - 2.0**-24)
    logits = np.log(p) - np.log1p(-p)
    if activation == "softmax":
        logits = np.log(p) - np.log(p).mean(axis=1, keepdims=True)
    design = np.column_stack([embeddings.astype(np.float64), np.ones(len(embeddings))])
    solution, *_ = np.linalg.lstsq(design, logits, rcond=1e-6)
    residual = float(np.sqrt(np.mean((design @ solution - logits) ** 2)))
    return solution[:-1].T, solution[-1], residual
