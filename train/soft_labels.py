"""Soft labels: a table of scores per recording, span of seconds and label, whoever made it.

Columns `filename,start_s,end_s,label,score`. A teacher's judgements and our own pseudo-labels come in this one form.
A score speaks for a window if at least half of its span, or of the window, lies in both; the highest one counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from birdwatch.audio.types import FloatArray
from birdwatch.errors import ConfigError

__all__ = ["COLUMNS", "LABEL_ODDS", "SoftLabels", "Spans", "read_soft_labels", "speaking"]

COLUMNS = ("filename", "start_s", "end_s", "label", "score")
# Factor on the odds of a recording's own label, since the recordist states that the species occurs in it.
LABEL_ODDS = 12.0


def speaking(
    starts_s: npt.NDArray[np.floating],
    window_s: float,
    span_start_s: npt.NDArray[np.floating],
    span_end_s: npt.NDArray[np.floating],
) -> npt.NDArray[np.bool_]:
    """Which spans `(rows,)` apply to the windows at `starts_s` `(windows,)`: boolean `(windows, rows)`."""
    overlap_s = np.minimum(starts_s[:, None] + window_s, span_end_s) - np.maximum(starts_s[:, None], span_start_s)
    return np.asarray(overlap_s >= 0.5 * np.minimum(span_end_s - span_start_s, window_s) - 1e-9)


@dataclass(frozen=True, slots=True)
class Spans:
    """The scores of one recording: arrays `(rows,)` of spans, label numbers and scores."""

    start_s: npt.NDArray[np.float64]
    end_s: npt.NDArray[np.float64]
    label: npt.NDArray[np.int64]
    score: FloatArray

    def targets(self, starts_s: npt.NDArray[np.floating], window_s: float, classes: int) -> FloatArray:
        """Targets float32 `(windows, classes)` of the windows at `starts_s` `(windows,)`."""
        speaks = speaking(starts_s, window_s, self.start_s, self.end_s)
        targets = np.zeros((len(starts_s), classes), np.float32)
        np.maximum.at(targets.T, self.label, (self.score * speaks).T)
        return targets


@dataclass(frozen=True, slots=True)
class SoftLabels:
    """Spans by recording; `unknown` counts the rows whose label is not among the classes (they are not used)."""

    spans: Mapping[str, Spans]
    unknown: int


def read_soft_labels(path: Path, codes: Sequence[str]) -> SoftLabels:
    """Read a csv or parquet table; raises ConfigError if it lacks columns or holds what is not a score."""
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path, columns=list(COLUMNS))
        else:
            # Names such as "NA" or "1e5" are text, not numbers.
            table = pd.read_csv(path, usecols=list(COLUMNS), dtype={"filename": str, "label": str}, na_filter=False)
    except OSError as error:
        raise ConfigError(f"no soft labels {path}: {error.strerror or error}") from None
    except (ValueError, KeyError) as error:
        raise ConfigError(f"{path} is not a table of {', '.join(COLUMNS)}: {error}") from None
    except ImportError:
        raise ConfigError(f"{path}: reading parquet needs pyarrow; pip install pyarrow, or write csv") from None
    numbers = {}
    for column in ("start_s", "end_s", "score"):
        try:
            numbers[column] = table[column].to_numpy(np.float64)
        except (ValueError, TypeError):
            raise ConfigError(f"{path}: {column} holds what is not a number") from None
        if not np.isfinite(numbers[column]).all():
            raise ConfigError(f"{path}: {column} holds NaN or infinity")
    if ((numbers["score"] < 0) | (numbers["score"] > 1)).any():
        raise ConfigError(f"{path}: a score is outside 0 to 1 (give probabilities, not logits)")
    if (numbers["end_s"] <= numbers["start_s"]).any():
        raise ConfigError(f"{path}: an end_s is not after its start_s")
    index = {code: number for number, code in enumerate(codes)}
    labels = np.array([index.get(str(label), -1) for label in table["label"]], np.int64)
    spans = {}
    for filename, rows in table.groupby("filename").indices.items():
        kept = np.asarray(rows)[labels[rows] >= 0]
        spans[str(filename)] = Spans(
            numbers["start_s"][kept],
            numbers["end_s"][kept],
            labels[kept],
            numbers["score"][kept].astype(np.float32),
        )
    return SoftLabels(spans, int((labels < 0).sum()))
