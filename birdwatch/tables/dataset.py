"""Writes detections as a dataset: a folder of Parquet files by site and date, and a list of recordings beside it.

The folder is partitioned as Hive's are, which DuckDB, polars, Spark and Arrow read as one table:
`site=north/date=2024-05-13/part-0.parquet`. Every file in it is a part; the recordings are in
`<folder>.recordings.parquet`, in the order of the parts, with how many rows each has.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date
from itertools import chain
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from birdwatch.atomic_write import Identities, folder_beside
from birdwatch.errors import SinkError
from birdwatch.paths import file_name
from birdwatch.tables.local_time import local_time
from birdwatch.tables.own_files import OwnFiles, check_replaceable, table_beside
from birdwatch.tables.parquet import METADATA_KEY, ROW_GROUP, require_pyarrow, write_parquet
from birdwatch.tables.result import Result, Rows, Vocabulary

__all__ = ["RECORDING_COLUMNS", "check_dataset", "is_part", "part_of", "recordings_path", "write_dataset"]

PART = "part-0.parquet"
PATTERN = ("site=*", "date=*", PART)
# Hive's word for null: readers then know that all other dates are dates.
NO_DATE = "__HIVE_DEFAULT_PARTITION__"
NO_SITE = "-"
# What cannot stand in a folder's name, here or in Hive; its readers turn %2F into a slash.
ESCAPED = re.compile(r"""[\x00-\x1f"#%'*/:<=>?\\^{|}\[\]\x7f]""")
RECORDING_COLUMNS = (
    "site", "date", "recording", "path", "channel", "start", "duration_s", "silent_s", "unscored_s", "warning", "rows",
)  # fmt: skip
# Of the run, what each part says, too; the names of thousands of classes and the failed recordings it does not.
IN_EACH_PART = ("parameters", "timezone", "window_s", "license", "attribution")


def recordings_path(folder: Path) -> Path:
    """Where the recordings of the dataset in `folder` are listed."""
    # `.` has no name of its own.
    named = folder if folder.name else folder.resolve()
    return named.parent / f"{named.name}.recordings.parquet"


def site_of(name: str) -> str:
    """The site of a recording: the first folder of its name, `-` where it is in none."""
    first, slash, _ = name.partition("/")
    return first if slash else NO_SITE


def date_of(start_utc_ns: int | None) -> date | None:
    """The day in UTC on which a recording began, None where that is unknown."""
    return None if start_utc_ns is None else local_time(start_utc_ns, UTC).date()


def part_of(site: str, day: date | None) -> PurePosixPath:
    """The file of a site and date in the folder."""
    named = ESCAPED.sub(lambda found: f"%{ord(found[0]):02X}", site)
    return PurePosixPath(file_name(f"site={named}", ""), f"date={day or NO_DATE}", PART)


def check_dataset(folder: Path, *, inputs: Identities = MappingProxyType({})) -> None:
    """Raise SinkError where a dataset cannot or must not be written to `folder`.

    That is where it holds anything but the parts of another one. inputs: files that are read.
    """
    listed = recordings_path(folder)
    check_replaceable(listed, inputs=inputs)
    if not folder.exists():
        return
    if not folder.is_dir():
        raise SinkError(f"{folder} is a file, and a dataset is a folder; name another one", path=folder)
    strange = next(_strange(folder), None)
    if strange is not None:
        raise SinkError(
            f"{folder} holds {strange.relative_to(folder)}, which is no part of a dataset and would be lost; "
            "name a new folder",
            path=folder,
        )
    if any(folder.iterdir()) and not listed.exists():
        raise SinkError(
            f"{folder} holds a dataset without {listed.name} beside it, so of another program; name a new folder",
            path=folder,
        )
    OwnFiles(folder).check(sorted(path for path in folder.rglob("*") if path.is_file()))


def _strange(folder: Path) -> Iterator[Path]:
    """Everything in a folder that a dataset does not have."""
    for path in folder.rglob("*"):
        places = path.relative_to(folder).parts
        if not _in_dataset(places) or path.is_dir() == (len(places) == len(PATTERN)) or path.is_symlink():
            yield path


def is_part(name: str) -> bool:
    """Whether a file of this name, relative to the folder, is a part of a dataset."""
    places = PurePosixPath(name).parts
    return len(places) == len(PATTERN) and all(_in_dataset(places[: count + 1]) for count in range(len(places)))


def _in_dataset(places: Sequence[str]) -> bool:
    """Whether the last of `places`, folders and perhaps a file in a dataset's, has a name as there."""
    return len(places) <= len(PATTERN) and PurePosixPath(places[-1]).match(PATTERN[len(places) - 1])


def write_dataset(folder: Path, results: Sequence[Result], words: Vocabulary, run: Mapping[str, Any]) -> None:
    """Write a dataset whole, or leave what was there. run: as `describe_run` has it, with each result's recording.

    One part is written after the other, each with the recordings of its site and date in their order: one file is open
    at a time, and memory grows with the recordings, not with their rows.
    """
    parts: dict[PurePosixPath, list[int]] = defaultdict(list)
    for number, result in enumerate(results):
        parts[part_of(site_of(result.name), date_of(result.start_utc_ns))].append(number)
    about = {key: run[key] for key in IN_EACH_PART if key in run}
    counts = np.zeros(len(results), np.int64)
    check_dataset(folder)
    with folder_beside(folder) as temporary:
        for part, numbers in sorted(parts.items()):
            path = temporary / part
            path.parent.mkdir(parents=True, exist_ok=True)
            # Where a file system takes North for north, the second of them is an error, not the end of the first.
            with path.open("xb") as stream:
                write_parquet(stream, (_counted(results[n], n, counts) for n in numbers), words, about, part=True)
                stream.flush()
                os.fsync(stream.fileno())
        order = list(chain.from_iterable(numbers for _, numbers in sorted(parts.items())))
        # In place before the folder: one without it would be taken for another program's.
        with table_beside(recordings_path(folder), binary=True) as listed:
            _write_recordings(cast(IO[bytes], listed), run, order, counts)


def _counted(result: Result, number: int, counts: npt.NDArray[np.int64]) -> Result:
    """The same result, whose rows are added up at `counts[number]` as they are read."""

    def rows(kind: Rows) -> Iterator[npt.NDArray[np.void]]:
        for piece in result.rows(kind):
            counts[number] += len(piece)
            yield piece

    return replace(result, rows=rows)


def _write_recordings(
    stream: IO[bytes], run: Mapping[str, Any], order: Sequence[int], counts: npt.NDArray[np.int64]
) -> None:
    """The recordings in the order of the parts; the footer holds the rest of the run."""
    pa = require_pyarrow()
    about = {key: value for key, value in run.items() if key != "recordings"}
    schema = pa.schema(
        [
            ("site", pa.string()),
            ("date", pa.date32()),
            ("recording", pa.string()),
            ("path", pa.string()),
            ("channel", pa.int16()),
            ("start", pa.timestamp("us", tz="UTC")),
            ("duration_s", pa.float64()),
            ("silent_s", pa.float64()),
            ("unscored_s", pa.float64()),
            ("warning", pa.string()),
            ("rows", pa.int64()),
        ],
        metadata={METADATA_KEY: json.dumps(about, ensure_ascii=False, sort_keys=True)},
    )
    with pa.parquet.ParquetWriter(stream, schema, compression="zstd") as writer:
        for start in range(0, len(order), ROW_GROUP):
            rows = [_listed(run["recordings"][number], counts[number]) for number in order[start : start + ROW_GROUP]]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def _listed(recording: Mapping[str, Any], rows: int) -> dict[str, Any]:
    """A recording as a row of the list."""
    name, start = recording["name"], recording["start_utc_ns"]
    placed = {"site": site_of(name), "date": date_of(start), "recording": name}
    return {**recording, **placed, "start": None if start is None else start // 1000, "rows": rows}
