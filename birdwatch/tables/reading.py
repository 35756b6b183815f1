"""Tables of detections read back: the suffix says which format's reader does it."""

from __future__ import annotations

import csv
from pathlib import Path

from birdwatch.errors import BirdwatchError, ConfigError
from birdwatch.tables.detections import read_csv
from birdwatch.tables.json_lines import read_json_lines
from birdwatch.tables.parquet import read_parquet
from birdwatch.tables.rows import DetectionTable

__all__ = ["read_detections"]

READERS = {".parquet": read_parquet, ".jsonl": read_json_lines}


def read_detections(path: Path) -> DetectionTable:
    """Read a table whose suffix says its format. Raises ConfigError for one that is missing or is no such table."""
    try:
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
