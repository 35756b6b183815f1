"""A model on soundscapes with exact times: which birds are detected, by level, and which detections are right."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from birdwatch.api import analyze
from birdwatch.errors import ConfigError
from birdwatch.model.classifier import OnnxClassifier

__all__ = ["Placed", "read_placed", "soundscape_figures"]

# Bins of the level over the background, dB.
LEVELS_DB = (-5.0, 0.0, 5.0, 10.0, 15.0, 20.0)


@dataclass(frozen=True, slots=True)
class Placed:
    """A vocalisation in a soundscape: seconds, class code, level over the background in dB."""

    filename: str
    start_s: float
    end_s: float
    code: str
    snr_db: float


def read_placed(path: Path) -> list[Placed]:
    """The rows of truth.csv. Raises ConfigError where it is none."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return [
                Placed(
                    row["filename"],
                    float(row["start_s"]),
                    float(row["end_s"]),
                    row["primary_label"],
                    float(row["snr_db"]),
                )
                for row in csv.DictReader(stream)
            ]
    except OSError as error:
        raise ConfigError(f"no table of soundscapes {path}: {error.strerror}") from None
    except (KeyError, ValueError, TypeError) as error:
        raise ConfigError(
            f"{path} is no table with filename, start_s, end_s, primary_label, snr_db ({error})"
        ) from None


def soundscape_figures(
    model: OnnxClassifier, folder: Path, placed: Sequence[Placed], limits: npt.NDArray[np.floating]
) -> dict[str, Any]:
    """Recall of the placed birds by level, and the precision of detections at thresholds `limits` `(classes,)`.

    A placed bird is found if its class is detected in a window that overlaps it by at least a second. A detection is
    right if its species is placed anywhere in its window.
    """
    codes = {code: number for number, code in enumerate(model.manifest.codes)}
    rate_hz = model.manifest.rate_hz
    found: list[tuple[float, bool]] = []
    right = wrong = 0
    seconds = 0.0
    for filename in sorted({item.filename for item in placed}):
        result = analyze(folder / filename, model)
        seconds += result.duration_s
        here = [item for item in placed if item.filename == filename]
        spans = [
            (window.start_frame / rate_hz, (window.start_frame + window.valid_frames) / rate_hz)
            for window in result.windows
        ]
        detected = [set(np.flatnonzero(window.scores >= limits).tolist()) for window in result.windows]
        for item in here:
            number = codes.get(item.code, -1)
            found.append(
                (
                    item.snr_db,
                    any(
                        number in classes and min(end, item.end_s) - max(start, item.start_s) >= 1.0
                        for (start, end), classes in zip(spans, detected, strict=True)
                    ),
                )
            )
        for (start, end), classes in zip(spans, detected, strict=True):
            present = {codes.get(item.code, -1) for item in here if item.start_s < end and item.end_s > start}
            right += len(classes & present)
            wrong += len(classes - present)
    levels = []
    for low, high in pairwise(LEVELS_DB):
        hits = [hit for db, hit in found if low <= db < high]
        levels.append({"from_db": low, "to_db": high, "birds": len(hits), "recall": share(hits)})
    return {
        "hours": seconds / 3600.0,
        "birds": len(found),
        "recall": share([hit for _, hit in found]),
        "precision": right / max(right + wrong, 1),
        "levels": levels,
    }


def share(hits: Sequence[bool]) -> float:
    """The share that is true; 0 without any."""
    return sum(hits) / max(len(hits), 1)
