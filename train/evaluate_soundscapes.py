"""Evaluates a checkpoint on soundscapes, against a table of rows or of onsets and offsets."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from birdwatch.audio.types import FloatArray
from birdwatch.errors import ConfigError, SourceError
from birdwatch.evaluation.alignment import compare
from birdwatch.evaluation.annotations import read_truth as read_annotations
from birdwatch.evaluation.class_names import ClassNames
from birdwatch.evaluation.metrics import average_precision, macro, roc_auc
from birdwatch.evaluation.predictions import PredictedRow, Predictions, recording_keys, ways_to_call
from birdwatch.scores.aggregation import segment_scores
from birdwatch.wording import counted, listed

from .dataset import read_unlabelled
from .ensemble import Ensemble
from .evaluate import Say, score_files, write_results

__all__ = ["evaluate_soundscapes", "read_truth"]


def evaluate_soundscapes(
    ensemble: Ensemble, folder: Path, truth_path: Path, *, out: Path | None, say: Say, quiet: bool = False
) -> dict[str, float | None]:
    """The competition's metric on rows as long as the model's, of the soundscapes that the truth names.

    truth_path: a table with `row_id`, see `read_truth`, or onsets and offsets in any form that `birdwatch evaluate`
    reads (Raven, Audacity, csv, a folder of tables); these count in a row with which they share a quarter of a second.
    """
    compared = _rows if not truth_path.is_dir() and "row_id" in _columns(truth_path) else _spans
    row_ids, scores, truth = compared(ensemble, folder, truth_path, say, quiet)
    values = {
        "rows": float(len(row_ids)),
        "classes_with_positives": float(truth.any(axis=0).sum()),
        "auc": macro(roc_auc(scores, truth)),
        "cmap": macro(average_precision(scores, truth)),
    }
    metrics = {name: None if np.isnan(value) else value for name, value in values.items()}
    for name, value in metrics.items():
        say(f"  {name:<22} {'-' if value is None else format(value, '.6g')}")
    write_results(ensemble, metrics, row_ids, scores, truth, out)
    return metrics


Compared = tuple[list[str], FloatArray, npt.NDArray[np.bool_]]


def _rows(ensemble: Ensemble, folder: Path, truth_path: Path, say: Say, quiet: bool) -> Compared:
    row_ids, truth = read_truth(truth_path, ensemble.manifest.codes)
    files = {recording.path.stem: recording.path for recording in read_unlabelled(folder)}
    stems = sorted({row_id.rpartition("_")[0] for row_id in row_ids})
    missing = [stem for stem in stems if stem not in files]
    if missing:
        raise SourceError(
            f"{folder} lacks {len(missing)} of the {len(stems)} soundscapes of {truth_path}: {listed(missing)}"
        )
    found: dict[str, FloatArray] = {}
    row_s = ensemble.row_frames / ensemble.manifest.rate_hz
    for stem, rows in zip(stems, _scored(ensemble, [files[stem] for stem in stems], quiet), strict=True):
        found |= {f"{stem}_{(i + 1) * row_s:g}": row for i, row in enumerate(rows)}
    beyond = [row_id for row_id in row_ids if row_id not in found]
    if beyond:
        raise SourceError(
            f"{truth_path} has {len(beyond)} rows that no segment of {row_s:g} s matches, such as {beyond[0]}"
        )
    return row_ids, np.stack([found[row_id] for row_id in row_ids]), truth


def _spans(ensemble: Ensemble, folder: Path, truth_path: Path, say: Say, quiet: bool) -> Compared:
    manifest, row_s = ensemble.manifest, ensemble.row_frames / ensemble.manifest.rate_hz
    annotations = read_annotations(truth_path)
    if any(item.start_s is None for item in annotations if item.label):
        raise ConfigError(f"{truth_path} has labels without times; soundscapes need an onset and an offset for each")
    named = {way for item in annotations for way in ways_to_call(item.recording)}
    files = [item for item in read_unlabelled(folder) if named.intersection(ways_to_call(item.filename))]
    scored = _scored(ensemble, [item.path for item in files], quiet)
    rows = [
        PredictedRow(item.filename, number * row_s, (number + 1) * row_s, code, score, False)
        for item, found in zip(files, scored, strict=True)
        for number, row in enumerate(found)
        for code, score in zip(manifest.codes, row.tolist(), strict=True)
    ]
    predictions = Predictions(
        rows,
        {item.filename: len(found) * row_s for item, found in zip(files, scored, strict=True)},
        ClassNames.of([(n.code, n.scientific_name, n.common_name) for n in manifest.labels], complete=True),
        recording_keys({item.filename: item.filename for item in files}),
        row_s,
        exact_lengths=True,
    )
    units = compare(predictions, annotations, unknown_labels="ignore", unknown_recordings="ignore")
    if units.unknown:
        raise SourceError(
            f"{folder} lacks {len(units.unknown)} of the soundscapes of {truth_path}: {listed(units.unknown)}"
        )
    if units.ignored:
        names = listed([f"{name} ({number})" for name, number in sorted(units.ignored.items())])
        say(f"{counted(len(units.ignored), 'label')} outside the checkpoint's classes, not compared: {names}")
    order = [units.labels.index(code) for code in manifest.codes]
    count: Counter[str] = Counter()
    row_ids = []
    for name in units.names:
        count[name] += 1
        row_ids.append(f"{Path(name).with_suffix('').as_posix()}_{count[name] * row_s:g}")
    return row_ids, units.scores[:, order].astype(np.float32), units.truth[:, order]


def _scored(ensemble: Ensemble, paths: Sequence[Path], quiet: bool) -> list[FloatArray]:
    """The scores `(rows, classes)` of each file."""
    manifest = ensemble.manifest
    scored = score_files(ensemble, paths, hop_s=manifest.window_s, quiet=quiet)
    return [segment_scores(rows, segment_frames=ensemble.row_frames, classes=len(manifest.labels)) for rows in scored]


def _columns(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return next(csv.reader(stream), [])
    except OSError as error:
        raise ConfigError(f"no table {path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path} is not a csv table: {error}") from None


def read_truth(path: Path, codes: Sequence[str]) -> tuple[list[str], npt.NDArray[np.bool_]]:
    """Row ids and truth `(rows, classes)` of a table of segments.

    `row_id` (`<stem>_<end second>`) and either a column of 0 and 1 for each class, or `birds`: codes with spaces
    between. Raises ConfigError where it is neither.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            rows, columns = list(reader), reader.fieldnames or []
    except OSError as error:
        raise ConfigError(f"no table {path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path} is not a csv table: {error}") from None
    if "row_id" not in columns or not rows:
        raise ConfigError(f"{path} must have a column row_id, and rows")
    known = [code for code in codes if code in columns]
    truth = np.zeros((len(rows), len(codes)), np.bool_)
    for number, row in enumerate(rows):
        if "birds" in columns:
            present = set(row["birds"].split())
        elif known:
            faulty = [code for code in known if row[code] not in ("0", "1", "0.0", "1.0")]
            if faulty:
                raise ConfigError(f"{path}, line {number + 2}: {faulty[0]} is {row[faulty[0]]!r}, expected 0 or 1")
            present = {code for code in known if float(row[code]) == 1.0}
        else:
            raise ConfigError(f"{path} has neither a column birds nor one for any of the checkpoint's classes")
        truth[number] = [code in present for code in codes]
    return [row["row_id"] for row in rows], truth
