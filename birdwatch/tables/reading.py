"""Reads tables of detections with the reader of their suffix; a folder is a dataset."""

from __future__ import annotations

import csv
from pathlib import Path

from birdwatch.errors import BirdwatchError, ConfigError
from birdwatch.tables.dataset import recordings_path
from birdwatch.tables.dataset_reading import Dataset, is_dataset, open_dataset, read_dataset
from birdwatch.tables.detections import read_csv
from birdwatch.tables.json_lines import read_json_lines
from birdwatch.tables.parquet import read_parquet
from birdwatch.tables.rows import DetectionTable

__all__ = ["open_detections", "read_detections", "table_files"]

READERS = {".parquet": read_parquet, ".jsonl": read_json_lines}


def open_detections(path: Path) -> DetectionTable | Dataset:
    """A table in memory, or a dataset that is read part after part. Raises ConfigError as `read_detections` does."""
    if path.is_dir():
        _check_folder(path)
        return open_dataset(path)
    return read_detections(path)


def table_files(path: Path) -> list[Path]:
    """The files of a table or dataset."""
    return [recordings_path(path), *path.rglob("*.parquet")] if is_dataset(path) else [path]


def read_detections(path: Path) -> DetectionTable:
    """Read a table whose suffix says its format. Raises ConfigError for one that is missing or is no such table."""
    try:
        if path.is_dir():
            _check_folder(path)
            return read_dataset(path)
        return READERS.get(path.suffix.lower(), read_csv)(path)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror or error}; name a table of `birdwatch run`", path=path
        ) from error
    except BirdwatchError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, csv.Error) as error:
        raise ConfigError(
            f"{path} is not a table of detections ({error}); write it again with `birdwatch run`", path=path
        ) from error


def _check_folder(path: Path) -> None:
    if is_dataset(path):
        return
    # `.` and `/` have no name that the list beside a dataset could be called by.
    missing = f" without {recordings_path(path).name} beside it, so no dataset" if path.name else ""
    raise ConfigError(f"{path} is a folder{missing}; name a table of `birdwatch run`", path=path)
