"""A season's results, made up, and the dataset that is written of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tiny_model import LABELS, manifest

from birdwatch.tables.formats import Output, write_output
from birdwatch.tables.result import DETECTIONS, EVENTS, Result, Vocabulary

WORDS = Vocabulary(manifest(), np.array([0.5, 0.25, 0.5], np.float32))


MIDNIGHT = 1715558400 * 10**9  # 2024-05-13T00:00:00Z


HOUR = 3600 * 10**9


RATE = 32000


STARTS = {
    "north/a": MIDNIGHT + 4 * HOUR + 123_456_789,
    "south/b": MIDNIGHT + 23 * HOUR,
    "north/c": MIDNIGHT + 5 * HOUR,
    "north/deep/d": MIDNIGHT + 30 * HOUR,
    "e": MIDNIGHT,
    "south/f": None,
    "north/silent": MIDNIGHT + 6 * HOUR,
}


# site=north/date=2024-05-14 before site=south, the first day before the next, and what has no date behind all days.
IN_ORDER = ["e", "north/a", "north/c", "north/silent", "north/deep/d", "south/b", "south/f"]


def rows_of(number: int, count: int) -> NDArray[Any]:
    rng = np.random.default_rng(number)
    rows = np.zeros(count, DETECTIONS)
    rows["start_frame"] = np.sort(rng.integers(0, 1000, count)) * (RATE * 5 // 2)
    rows["end_frame"] = rows["start_frame"] + 5 * RATE
    rows["label"] = rng.integers(0, 3, count)
    rows["score"] = rng.random(count, np.float32)
    return rows


def result(
    name: str, start_utc_ns: int | None, rows: NDArray[Any], pieces: int = 1, channel: int | None = None
) -> Result:
    def read(kind: str) -> Iterator[NDArray[Any]]:
        if kind == "windows":
            return iter(np.array_split(rows, pieces))
        events = np.zeros(len(rows), EVENTS)
        for field in DETECTIONS.names or ():
            events[field] = rows[field]
        events["windows"] = 2
        return iter([events])

    return Result(
        name, Path("season") / f"{name}.wav", channel, start_utc_ns, 3000 * RATE, RATE, 1600, "cut, short",
        np.zeros(3, bool), read, lambda: iter([]),
    )  # fmt: skip


def described(results: list[Result]) -> dict[str, Any]:
    return {
        "parameters": {"hop_s": 2.5, "model": "tiny"},
        "timezone": "Europe/Berlin",
        "window_s": 5.0,
        "license": "MIT",
        "attribution": None,
        "labels": [[label.code, label.scientific_name, label.common_name] for label in LABELS],
        "recordings": [
            {
                "name": result.name,
                "path": result.path.as_posix(),
                "channel": result.channel,
                "start_utc_ns": result.start_utc_ns,
                "duration_s": result.frames / RATE,
                "silent_s": result.silent_frames / RATE,
                "unscored_s": result.unscored_frames / RATE,
                "warning": result.warning,
            }
            for result in results
        ],
        "failed": [{"path": "x.wav", "reason": "no audio"}],
    }


def season(pieces: int = 1) -> list[Result]:
    return [
        result(name, start, rows_of(number, 0 if name == "north/silent" else 40 + number), pieces, channel=number % 2)
        for number, (name, start) in enumerate(STARTS.items())
    ]


def write(path: Path, results: list[Result] | None = None, rows: Literal["windows", "events"] = "windows") -> Path:
    results = season() if results is None else results
    output = Output(path, "parquet", folder=path.suffix != ".parquet", rows=rows)
    write_output(output, results, WORDS, run=described(results))
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def expected_rows(results: list[Result]) -> list[tuple[str, str, float, float]]:
    """(recording, label, start_s, score) of everything, by the results themselves."""
    return [
        (item.name, LABELS[row["label"]].code, row["start_frame"] / RATE, float(row["score"]))
        for item in results
        for row in next(item.rows("windows"))
    ]
