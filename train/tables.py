"""The CSV tables of a run folder, written atomically."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from birdwatch.atomic_write import written_beside

from .predictions import Predictions

__all__ = ["load_predictions", "save_predictions", "write_json", "write_table", "write_text"]


def write_text(path: Path, text: str) -> None:
    """A text file."""
    with written_beside(path) as stream:
        cast("IO[str]", stream).write(text)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """A JSON object, indented."""
    write_text(path, json.dumps(values, indent=1, ensure_ascii=False) + "\n")


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A CSV table of rows; its columns are all of their keys, in order of appearance. None is an empty field."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with written_beside(path) as stream:
        writer = csv.DictWriter(cast("IO[str]", stream), columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def save_predictions(path: Path, predictions: Predictions, filenames: Sequence[str]) -> None:
    """Scores of windows as .npz: `scores`, `start_s`, and `source`, an index into `filenames`."""
    with written_beside(path, binary=True) as stream:
        np.savez(
            cast("IO[bytes]", stream),
            scores=predictions.scores,
            start_s=predictions.start_s,
            source=predictions.source,
            filenames=np.array(filenames),
        )


def load_predictions(path: Path) -> Predictions:
    """What `save_predictions` wrote."""
    with np.load(path) as values:
        return Predictions(values["scores"], values["source"], values["start_s"])
