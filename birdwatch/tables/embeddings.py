"""Embeddings as Parquet: one row per window, its vector a list of fixed size."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from birdwatch.audio.types import FloatArray
from birdwatch.paths import text_of
from birdwatch.tables.parquet import METADATA_KEY, require_pyarrow

__all__ = ["Embedded", "write_embeddings"]

# Four megabytes of vectors of a thousand numbers.
ROW_GROUP = 1024


@dataclass(frozen=True, slots=True)
class Embedded:
    """One window: seconds in its recording, ns since 1970 of its start (None: unknown), vector float32 `(size,)`."""

    recording: str
    path: Path
    start_s: float
    end_s: float
    utc_ns: int | None
    vector: FloatArray


def write_embeddings(stream: IO[bytes], rows: Iterable[Embedded], *, size: int, about: Mapping[str, Any]) -> int:
    """Writes rows as they come, in flat memory, and returns how many; `about` goes into the footer as JSON."""
    pa = require_pyarrow()
    text = pa.dictionary(pa.int32(), pa.string())
    schema = pa.schema(
        [
            ("recording", text),
            ("path", text),
            ("start_s", pa.float64()),
            ("end_s", pa.float64()),
            ("start", pa.timestamp("ns", tz="UTC")),
            ("embedding", pa.list_(pa.float32(), size)),
        ],
        metadata={METADATA_KEY: json.dumps(about, ensure_ascii=False, sort_keys=True)},
    )
    total = 0
    with pa.parquet.ParquetWriter(stream, schema, compression="zstd") as writer:
        for group in _groups(rows):
            total += len(group)
            vectors = pa.array(np.concatenate([row.vector for row in group]), pa.float32())
            columns = [
                pa.array([text_of(row.recording) for row in group]).dictionary_encode(),
                pa.array([text_of(row.path) for row in group]).dictionary_encode(),
                pa.array([row.start_s for row in group], pa.float64()),
                pa.array([row.end_s for row in group], pa.float64()),
                pa.array([row.utc_ns for row in group], pa.int64()).cast(schema.field("start").type),
                pa.FixedSizeListArray.from_arrays(vectors, size),
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
    return total


def _groups(rows: Iterable[Embedded]) -> Iterator[list[Embedded]]:
    iterator = iter(rows)
    while group := list(islice(iterator, ROW_GROUP)):
        yield group
