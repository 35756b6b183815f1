"""Reads a dataset of detections part by part, so that it may be larger than memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from birdwatch.errors import ConfigError
from birdwatch.tables.dataset import PART, RECORDING_COLUMNS, part_of, recordings_path
from birdwatch.tables.detections import DETECTION_COLUMNS
from birdwatch.tables.parquet import metadata_of, open_parquet, require_pyarrow, rows_of
from birdwatch.tables.rows import Columns, DetectionRow, DetectionTable

__all__ = ["Dataset", "is_dataset", "open_dataset", "read_dataset"]

# Rows and recordings in memory at a time: as arrays, and one by one.
BATCH = 1 << 16
RECORDINGS = 1 << 11
COUNTED = ("recording", "label", "score", "threshold", "start_s", "end_s", "start")
# recording: its number in the part; label: its number among those that occurred so far.
ROWS = np.dtype(
    [
        ("recording", np.int64),
        ("label", np.int64),
        *((name, np.float64) for name in ("score", "threshold", "start_s", "end_s")),
        ("start_ns", np.int64),
    ]
)
Rows = npt.NDArray[np.void]


def is_dataset(path: Path) -> bool:
    """Whether it is a folder with the list of its recordings beside it."""
    return path.is_dir() and recordings_path(path).is_file()


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset in a folder. run: as the table of one file has it, without the recordings."""

    folder: Path
    run: Mapping[str, Any]
    recording_count: int

    @property
    def timezone(self) -> str | None:
        """The zone of the run's local times."""
        return self.run.get("timezone")

    def recordings(self) -> Iterator[Mapping[str, Any]]:
        """All recordings that were scored, in the order of the parts."""
        pa = require_pyarrow()
        with _opened(recordings_path(self.folder), RECORDING_COLUMNS) as file:
            for batch in file.iter_batches(batch_size=RECORDINGS):
                starts = batch.column("start").cast(pa.int64()).to_pylist()
                for recording, start in zip(batch.to_pylist(), starts, strict=True):
                    recording["name"] = recording.pop("recording")
                    yield {**recording, "start_utc_ns": None if start is None else start * 1000}

    def each_row(self) -> Iterator[DetectionRow]:
        """The rows in the order of the recordings."""
        for part, recordings in self._parts():
            with self._part(part, recordings) as file:
                yield from rows_of(file)

    def columns(self, min_score: float | None = None) -> Iterator[Columns]:
        """The rows at or above a score, by default their threshold; those of one recording are in memory together."""
        labels: dict[str, int] = {}
        first, waiting, known = 0, [], {}
        for part, recordings in self._parts():
            with self._part(part, recordings) as file:
                for rows in _of_whole_recordings(file, recordings, labels, min_score):
                    known.update({first + n: recordings[n] for n in np.unique(rows["recording"]).tolist()})
                    rows["recording"] += first
                    waiting.append(rows)
                    if sum(map(len, waiting)) >= BATCH:
                        yield self._columns(np.concatenate(waiting), known, list(labels))
                        waiting, known = [], {}
            first += len(recordings)
        if waiting:
            yield self._columns(np.concatenate(waiting), known, list(labels))

    def _columns(self, rows: Rows, recordings: Mapping[int, Mapping[str, Any]], labels: Sequence[str]) -> Columns:
        names = {code: (common, scientific) for code, scientific, common in self.run.get("labels", ())}

        def row(number: int) -> DetectionRow:
            place, label, score, threshold, start_s, end_s, start_ns = rows[number].item()
            whole, code = recordings[place], labels[label]
            start_utc_ns = None if whole["start_utc_ns"] is None else start_ns
            common, scientific = names.get(code, ("", ""))
            place_of = whole["name"], whole["path"], whole["channel"], start_s, end_s
            return DetectionRow(*place_of, code, common, scientific, score, threshold, start_utc_ns)

        undated = [number for number, recording in recordings.items() if recording["start_utc_ns"] is None]
        return Columns(
            labels,
            rows["label"],
            rows["recording"],
            rows["score"],
            rows["start_s"],
            rows["start_ns"],
            ~np.isin(rows["recording"], undated),
            row,
        )

    def files(self) -> Iterator[Path]:
        """Every file that is read: the recordings' and the dataset's own."""
        yield recordings_path(self.folder)
        for part, recordings in self._parts():
            yield self.folder / part
            yield from (Path(recording["path"]) for recording in recordings)

    def _parts(self) -> Iterator[tuple[Path, list[Mapping[str, Any]]]]:
        """Each part with its recordings."""
        for part, recordings in groupby(self.recordings(), key=lambda item: part_of(item["site"], item["date"])):
            yield Path(part), list(recordings)

    @contextmanager
    def _part(self, part: Path, recordings: list[Mapping[str, Any]]) -> Iterator[Any]:
        with _opened(self.folder / part, DETECTION_COLUMNS) as file:
            expected, found = sum(recording["rows"] for recording in recordings), file.metadata.num_rows
            if found != expected:
                raise _torn(self.folder, f"{self.folder / part} has {found} rows, and {expected} are listed")
            yield file


@contextmanager
def _opened(path: Path, columns: Sequence[str]) -> Iterator[Any]:
    pa = require_pyarrow()
    try:
        with open_parquet(path, columns) as file:
            yield file
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path} cannot be read ({reason}); copy it again, or write it again", path=path) from error


def open_dataset(folder: Path) -> Dataset:
    """A dataset whose parts are all there, and no others. Raises ConfigError."""
    listed = recordings_path(folder)
    with _opened(listed, RECORDING_COLUMNS) as file:
        dataset = Dataset(folder, metadata_of(file), file.metadata.num_rows)
        places: set[tuple[Any, Any]] = set()
        for batch in file.iter_batches(batch_size=BATCH, columns=["site", "date"]):
            places.update(zip(*(column.to_pylist() for column in batch.columns), strict=True))
    parts = {folder / part_of(site, day) for site, day in places}
    there = set(folder.glob(f"*/*/{PART}"))
    for path in sorted(parts ^ there):
        raise _torn(folder, f"{path} is listed and not there" if path in parts else f"{path} is there and not listed")
    return dataset


def _torn(folder: Path, what: str) -> ConfigError:
    listed = recordings_path(folder).name
    return ConfigError(f"{what} in {listed}; copy the folder and {listed} again, or write them again", path=folder)


def read_dataset(folder: Path) -> DetectionTable:
    """All of it in memory, in the order of the recordings. Raises ConfigError for what is none."""
    dataset = open_dataset(folder)
    run = {**dataset.run, "recordings": list(dataset.recordings())}
    return DetectionTable(list(dataset.each_row()), run, dataset.timezone)


def _of_whole_recordings(
    file: Any, recordings: Sequence[Mapping[str, Any]], labels: dict[str, int], min_score: float | None
) -> Iterator[Rows]:
    """The rows of a part at or above a score, never some of a recording without the rest; `labels` are added to."""
    places = {recording["name"]: place for place, recording in enumerate(recordings)}
    last = 0
    held: list[Rows] = []
    for batch in file.iter_batches(batch_size=BATCH, columns=list(COUNTED)):
        rows = _rows(batch, places, labels)
        if not len(rows):
            continue
        if (np.diff(rows["recording"], prepend=last) < 0).any():
            raise ValueError("its rows are not in the order of the recordings")
        # More rows of the last recording may follow.
        last = rows["recording"][-1]
        rows = rows[rows["score"] >= (rows["threshold"] if min_score is None else min_score)]
        cut = np.searchsorted(rows["recording"], last)
        if cut or (held and held[0]["recording"][0] < last):
            yield np.concatenate([*held, rows[:cut]])
            held = []
        if cut < len(rows):
            held.append(rows[cut:])
    if held:
        yield np.concatenate(held)


def _rows(batch: Any, places: dict[str, int], labels: dict[str, int]) -> Rows:
    pa = require_pyarrow()
    rows = np.zeros(len(batch), ROWS)
    for name in ("score", "threshold", "start_s", "end_s"):
        rows[name] = batch.column(name).to_numpy()
    start = batch.column("start").cast(pa.timestamp("ns", tz="UTC")).cast(pa.int64())
    rows["start_ns"] = start.fill_null(0).to_numpy()
    rows["recording"] = _numbers(pa, batch.column("recording"), lambda name: places.get(name, -1))
    rows["label"] = _numbers(pa, batch.column("label"), lambda code: labels.setdefault(code, len(labels)))
    return rows


def _numbers(pa: Any, names: Any, number_of: Callable[[str], int]) -> npt.NDArray[np.int64]:
    """A number for each name of a column, asked for once for each different one."""
    coded = names if pa.types.is_dictionary(names.type) else names.dictionary_encode()
    numbers = np.array([number_of(name) for name in coded.dictionary.to_pylist()], np.int64)
    return numbers[coded.indices.to_numpy()] if len(numbers) else np.zeros(len(names), np.int64)
