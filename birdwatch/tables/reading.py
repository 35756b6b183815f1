"""Tables of detections read back: Parquet, csv and JSON lines as `birdwatch run` writes them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

from birdwatch.audio.timestamps import parse_time
from birdwatch.errors import BirdwatchError, ConfigError
from birdwatch.tables.detections import DETECTION_COLUMNS
from birdwatch.tables.parquet import METADATA_KEY, require_pyarrow

__all__ = ["Heard", "HeardTable", "read_detections"]


@dataclass(frozen=True, slots=True)
class Heard:
    """One row: a class in a window of a recording. start_utc_ns: ns since 1970, or None where unknown.

    windows: how many an event has; None where the row is a window.
    """

    recording: str
    path: str
    channel: int | None
    start_s: float
    end_s: float
    label: str
    common_name: str
    scientific_name: str
    score: float
    threshold: float
    start_utc_ns: int | None
    windows: int | None = None

    @property
    def name(self) -> str:
        """What people call it."""
        return self.common_name or self.label


@dataclass(frozen=True, slots=True)
class HeardTable:
    """All rows of a table. run: what the table says about its run (only Parquet can), else empty."""

    rows: list[Heard]
    run: Mapping[str, Any]


def read_detections(path: Path) -> HeardTable:
    """Read a table whose suffix says its form. Raises ConfigError for one that is missing or is no such table."""
    try:
        if path.suffix.lower() == ".parquet":
            return _parquet(path)
        if path.suffix.lower() == ".jsonl":
            with path.open(encoding="utf-8") as stream:
                return HeardTable([_row(json.loads(line)) for line in stream if line.strip()], {})
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            missing = [name for name in DETECTION_COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise ConfigError(
                    f"{path} lacks the columns {', '.join(missing)}; expected a table of `birdwatch run` "
                    "in --format detections, .parquet or .jsonl"
                )
            return HeardTable([_row(row) for row in reader], {})
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror or error}; name a table of `birdwatch run`"
        ) from error
    except BirdwatchError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} is not a table of detections ({error}); write it again with `birdwatch run`"
        ) from error


def _row(values: Mapping[str, Any]) -> Heard:
    channel, start = values["channel"], values["start"]
    return Heard(
        values["recording"],
        values["path"],
        int(channel) if channel not in ("", None) else None,
        float(values["start_s"]),
        float(values["end_s"]),
        values["label"],
        values["common_name"],
        values["scientific_name"],
        float(values["score"]),
        float(values["threshold"]),
        parse_time(start, UTC) if start else None,
        int(values["windows"]) if values.get("windows") not in ("", None) else None,
    )


def _parquet(path: Path) -> HeardTable:
    pa = require_pyarrow()
    try:
        file = pa.parquet.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise ConfigError(f"{path} is not Parquet ({error}); write it again with `birdwatch run`") from error
    with file:
        missing = [name for name in DETECTION_COLUMNS if name not in file.schema_arrow.names]
        if missing:
            raise ConfigError(f"{path} lacks the columns {', '.join(missing)}; expected a table of `birdwatch run`")
        metadata = file.schema_arrow.metadata or {}
        run = json.loads(metadata.get(METADATA_KEY.encode(), b"{}"))
        rows: list[Heard] = []
        names = [*DETECTION_COLUMNS[:-1], *(["windows"] if "windows" in file.schema_arrow.names else [])]
        for batch in file.iter_batches(columns=names):
            start = batch.column("start").cast(pa.int64())
            columns: Iterable[list[Any]] = (
                (start if name == "start" else batch.column(name)).to_pylist() for name in names
            )
            rows += map(Heard, *columns)
    return HeardTable(rows, run)
