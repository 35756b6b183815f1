"""Reads the run database for the tables: recordings in order, their metadata, and those that failed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from birdwatch.audio.types import FloatArray
from birdwatch.batch.jobs import Job
from birdwatch.batch.local_runner import Outcome
from birdwatch.batch.run_database import Entry, RunDatabase
from birdwatch.model.manifest import Manifest
from birdwatch.model.species_filter import SpeciesFilter
from birdwatch.paths import text_of
from birdwatch.tables.cells import write_csv
from birdwatch.tables.own_files import table_beside
from birdwatch.tables.result import DETECTIONS, EVENTS, Result, Rows, Vocabulary

__all__ = ["describe_run", "errors_path", "filtered_path", "result_of", "write_errors", "write_filtered"]


def result_of(job: Job, entry: Entry, database: RunDatabase, classes: int, floors: FloatArray | None = None) -> Result:
    """What the tables are written from; rows and segments are read from the run database when they are asked for.

    floors: the score of each class from which its windows are rows, `(classes,)`; None for all that are kept.
    """
    present = np.zeros(classes, bool)
    present[entry.present["label"]] = True

    def rows(kind: Rows) -> Iterator[Any]:
        pieces = filter(None, database.pieces(entry, kind))
        if kind == "windows":
            for piece in pieces:
                found = np.frombuffer(piece, DETECTIONS)
                yield found if floors is None else found[found["score"] >= floors[found["label"]]]
        elif events := [np.frombuffer(piece, EVENTS) for piece in pieces]:
            # Kept in the order in which they ended; a few thousand per recording at most.
            yield np.sort(np.concatenate(events), order=("start_frame", "label"))

    def segments() -> Iterator[FloatArray]:
        for piece in database.pieces(entry, "segments"):
            yield np.frombuffer(piece, np.float32).reshape(-1, classes)

    return Result(
        job.name,
        job.path,
        job.channel,
        job.start_utc_ns,
        entry.frames,
        entry.silent_frames,
        entry.unscored_frames,
        entry.warning,
        present,
        rows=rows,
        segments=segments,
    )


def describe_run(
    results: Sequence[Result], failed: Sequence[Outcome], words: Vocabulary, parameters: dict[str, Any]
) -> dict[str, Any]:
    """The description of a run in a table's metadata; it does not depend on the time or speed of the run."""
    manifest = words.manifest
    return {
        "parameters": parameters,
        "timezone": words.timezone or "UTC",
        # What a row is about: a part of the window where the model scores parts.
        "window_s": manifest.row_s,
        "license": manifest.license,
        "labels": [[label.code, label.scientific_name, label.common_name] for label in manifest.labels],
        "attribution": manifest.attribution,
        "recordings": [
            {
                "name": result.name,
                "path": text_of(result.path),
                "channel": result.channel,
                "start_utc_ns": result.start_utc_ns,
                "duration_s": result.frames / manifest.rate_hz,
                "silent_s": result.silent_frames / manifest.rate_hz,
                "unscored_s": result.unscored_frames / manifest.rate_hz,
                "warning": result.warning,
            }
            for result in results
        ],
        "failed": [{"path": text_of(outcome.job.path), "reason": text_of(outcome.fault)} for outcome in failed],
    }


def errors_path(out: Path) -> Path:
    """Where the recordings that failed are listed."""
    return out.with_name(out.name + ".errors.csv")


def filtered_path(out: Path) -> Path:
    """Where the classes that a species filter left out are listed."""
    return out.with_name(out.name + ".filtered.csv")


def write_errors(out: Path, failed: Sequence[Outcome]) -> None:
    """List the recordings that failed beside `out`; if none did, an older list is deleted."""
    path = errors_path(out)
    if not failed:
        path.unlink(missing_ok=True)
        return
    with table_beside(path) as stream:
        rows = ((text_of(outcome.job.path), text_of(outcome.fault)) for outcome in failed)
        write_csv(cast(IO[str], stream), [("recording", "reason"), *rows])


def write_filtered(out: Path, species: SpeciesFilter | None, manifest: Manifest) -> None:
    """List the species that a filter excludes, and why, beside `out`; without a filter an older list is deleted."""
    path = filtered_path(out)
    if species is None:
        path.unlink(missing_ok=True)
        return
    with table_beside(path) as stream:
        rows = (
            (label.code, label.scientific_name, label.common_name, species.reason)
            for label, allowed in zip(manifest.labels, species.allowed, strict=True)
            if not allowed
        )
        write_csv(cast(IO[str], stream), [("label", "scientific_name", "common_name", "reason"), *rows])
