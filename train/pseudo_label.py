"""Pseudo-labels: the scores of trained networks for soundscapes without labels, as a table of soft labels.

A power above 1 reduces low scores more than high ones, so that the next round of training does not learn the noise of
the last one.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import IO, cast

import numpy as np

from birdwatch.errors import DecodeError
from birdwatch.tables.own_files import check_replaceable, table_beside

from .dataset import read_unlabelled
from .ensemble import Ensemble
from .progress import tracked
from .soft_labels import COLUMNS

__all__ = ["write_pseudo_labels"]


def write_pseudo_labels(
    ensemble: Ensemble, soundscapes: Path, out: Path, *, power: float, least: float, quiet: bool = False
) -> tuple[int, list[str]]:
    """Write the soft labels of all audio under `soundscapes` to `out`; returns the rows and a line for each bad file.

    A row's score to the power `power` is written where it is at least `least`.
    """
    check_replaceable(out)
    recordings = read_unlabelled(soundscapes)
    manifest = ensemble.manifest
    rate_hz, row_s = manifest.rate_hz, ensemble.row_frames / manifest.rate_hz
    rows, faults = 0, []
    with table_beside(out) as stream:
        writer = csv.writer(cast("IO[str]", stream), lineterminator="\n")
        writer.writerow(COLUMNS)
        for recording in tracked(recordings, len(recordings), "pseudo-labels", quiet=quiet):
            try:
                windows = ensemble.score_file(recording.path, hop_s=manifest.window_s)
            except DecodeError as error:
                faults.append(str(error))
                continue
            for window in windows:
                scores = window.scores**power
                start_s = window.start_frame / rate_hz
                for label in np.flatnonzero(scores >= least):
                    span = (f"{start_s:g}", f"{start_s + row_s:g}")
                    writer.writerow((recording.filename, *span, manifest.codes[label], f"{scores[label]:.5f}"))
                    rows += 1
    return rows, faults
