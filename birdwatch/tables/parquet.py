"""Detections or events as Parquet: typed, small, and with the run's parameters in the footer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np

from birdwatch.errors import ConfigError
from birdwatch.extras import install_command
from birdwatch.paths import text_of
from birdwatch.tables.detections import DETECTION_COLUMNS
from birdwatch.tables.result import Result, Vocabulary
from birdwatch.tables.rows import DetectionRow, DetectionTable

__all__ = [
    "METADATA_KEY",
    "ROW_GROUP",
    "metadata_of",
    "open_parquet",
    "read_parquet",
    "require_pyarrow",
    "rows_of",
    "write_parquet",
]

# Where the footer holds the run: its parameters, the recordings with their starts and lengths, and the failed ones.
METADATA_KEY = "birdwatch.run"
ROW_GROUP = 1 << 16


def require_pyarrow() -> Any:
    """The modules pyarrow and pyarrow.parquet. Raises ConfigError, with the command that installs them."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError(
            f"a .parquet table needs pyarrow, which is not installed: {install_command('parquet')}, "
            "or name an --out that ends in .csv or .jsonl"
        ) from error
    return pyarrow


def write_parquet(
    stream: IO[bytes], results: Iterable[Result], words: Vocabulary, run: Mapping[str, Any], *, part: bool = False
) -> None:
    """One row per detection or event, the columns of the csv; times are timestamps in UTC, names are dictionaries.

    Row groups are filled to the same size whatever the recordings' lengths, so memory is flat. part: of a dataset. Its
    times are in microseconds, since Spark reads no nanoseconds, and its dictionaries hold what occurs in the part.
    """
    pa = require_pyarrow()
    text = pa.dictionary(pa.int32(), pa.string())
    moment = pa.timestamp("us" if part else "ns", tz="UTC")
    schema = pa.schema(
        [
            ("recording", text),
            ("path", text),
            ("channel", pa.int16()),
            ("start_s", pa.float64()),
            ("end_s", pa.float64()),
            ("label", text),
            ("common_name", text),
            ("scientific_name", text),
            ("score", pa.float32()),
            ("threshold", pa.float32()),
            ("start", moment),
            ("end", moment),
            *([("mean_score", pa.float32()), ("windows", pa.int32())] if words.rows == "events" else []),
        ],
        metadata={METADATA_KEY: json.dumps(run, ensure_ascii=False, sort_keys=True)},
    )
    with pa.parquet.ParquetWriter(stream, schema, compression="zstd", write_statistics=True) as writer:
        for table in _groups(pa, _tables(pa, schema, results, words), schema):
            writer.write_table(_compacted(pa, table) if part else table, row_group_size=ROW_GROUP)


def _tables(pa: Any, schema: Any, results: Iterable[Result], words: Vocabulary) -> Iterator[Any]:
    labels = words.manifest.labels
    rate = words.manifest.rate_hz
    moment = schema.field("start").type
    tick_ns = 1000 if moment.unit == "us" else 1
    for result in results:
        for rows in result.rows(words.rows):
            count = len(rows)
            number = pa.array(rows["label"].astype(np.int32))

            def constant(value: str, count: int = count) -> Any:
                return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([value]))

            def named(names: list[str], number: Any = number) -> Any:
                return pa.DictionaryArray.from_arrays(number, pa.array(names))

            def times(frames: Any, result: Result = result, count: int = count) -> Any:
                if result.start_utc_ns is None:
                    return pa.nulls(count, moment)
                ns = result.start_utc_ns + frames * 1_000_000_000 // rate
                return pa.array(ns // tick_ns, pa.int64()).cast(moment)

            columns = [
                constant(result.name),
                constant(text_of(result.path)),
                pa.nulls(count, pa.int16())
                if result.channel is None
                else pa.array(np.full(count, result.channel, np.int16)),
                pa.array(rows["start_frame"] / rate),
                pa.array(rows["end_frame"] / rate),
                named([label.code for label in labels]),
                named([label.common_name for label in labels]),
                named([label.scientific_name for label in labels]),
                pa.array(rows["score"].astype(np.float32)),
                pa.array(words.limits[rows["label"]]),
                times(rows["start_frame"]),
                times(rows["end_frame"]),
            ]
            if words.rows == "events":
                columns += [pa.array(rows["mean_score"]), pa.array(rows["windows"])]
            yield pa.Table.from_arrays(columns, schema=schema)


def _groups(pa: Any, tables: Iterator[Any], schema: Any) -> Iterator[Any]:
    """The same rows in tables of `ROW_GROUP` rows, the last one smaller; one empty table where there is no row."""
    held: list[Any] = []
    rows = 0
    for table in tables:
        held.append(table)
        rows += len(table)
        if rows >= ROW_GROUP:
            whole = pa.concat_tables(held).unify_dictionaries()
            for start in range(0, rows - ROW_GROUP + 1, ROW_GROUP):
                yield whole.slice(start, ROW_GROUP)
            held = [whole.slice(rows - rows % ROW_GROUP)]
            rows %= ROW_GROUP
    yield pa.concat_tables(chain(held, [schema.empty_table()])).unify_dictionaries()


def _compacted(pa: Any, table: Any) -> Any:
    """The same rows with dictionaries of only what occurs in them: a model knows thousands of names."""
    for number, column in enumerate(table.schema):
        if pa.types.is_dictionary(column.type):
            plain = table.column(number).cast(pa.string()).combine_chunks()
            table = table.set_column(number, column, plain.dictionary_encode())
    return table


def open_parquet(path: Path, columns: Sequence[str] = DETECTION_COLUMNS) -> Any:
    """A `ParquetFile`, to be closed. Raises ConfigError for another file, and for one without these columns."""
    pa = require_pyarrow()
    try:
        file = pa.parquet.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise ConfigError(f"{path} is not Parquet ({error}); write it again with `birdwatch run`") from error
    missing = [name for name in columns if name not in file.schema_arrow.names]
    if missing:
        file.close()
        raise ConfigError(f"{path} lacks the columns {', '.join(missing)}; expected a table of `birdwatch run`")
    return file


def metadata_of(file: Any) -> dict[str, Any]:
    """What the footer says about the run; empty where it says nothing."""
    metadata = file.schema_arrow.metadata or {}
    run: dict[str, Any] = json.loads(metadata.get(METADATA_KEY.encode(), b"{}"))
    return run


def rows_of(file: Any) -> Iterator[DetectionRow]:
    """The rows of a `ParquetFile`, in its order."""
    pa = require_pyarrow()
    names = [*DETECTION_COLUMNS[:-1], *(["windows"] if "windows" in file.schema_arrow.names else [])]
    for batch in file.iter_batches(columns=names):
        start = batch.column("start").cast(pa.timestamp("ns", tz="UTC")).cast(pa.int64())
        columns: Iterable[list[Any]] = (
            (start if name == "start" else batch.column(name)).to_pylist() for name in names
        )
        yield from map(DetectionRow, *columns)


def read_parquet(path: Path) -> DetectionTable:
    """Read the table back, with its run. Raises ConfigError for another file."""
    with open_parquet(path) as file:
        run = metadata_of(file)
        return DetectionTable(list(rows_of(file)), run, run.get("timezone"))
