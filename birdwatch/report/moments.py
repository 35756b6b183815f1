"""What the page shows of each species: how often and when it was detected, and its best moments."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, timedelta, tzinfo
from typing import Any

import numpy as np
import numpy.typing as npt

from birdwatch.tables.local_time import local_time
from birdwatch.tables.rows import Columns, DetectionRow

__all__ = ["Effort", "Species", "effort_of", "species_of"]

EPOCH = date(1970, 1, 1)
QUARTER_NS = 900 * 10**9


@dataclass(frozen=True, slots=True)
class Species:
    """One species: its detections by local hour and by local day, and its best moments, the best first."""

    label: str
    name: str
    scientific_name: str
    count: int
    recordings: int
    best: float
    by_hour: Mapping[int, int]
    by_day: Mapping[date, int]
    moments: tuple[DetectionRow, ...]

    @property
    def busiest(self) -> int:
        """The hour of the day with most detections."""
        return max(self.by_hour, key=lambda hour: self.by_hour[hour])


@dataclass(frozen=True, slots=True)
class Effort:
    """Hours of recorded audio by local hour of the day and by local day; empty where that is not known."""

    by_hour: Mapping[int, float]
    by_day: Mapping[date, float]
    hours: float


def species_of(chunks: Iterable[Columns], where: tzinfo, *, moments: int) -> list[Species]:
    """Each detected species, the one with most detections first.

    chunks: of the rows; a recording has all of its rows in one of them. Memory does not grow with their number.
    """
    sums: dict[str, _Sums] = {}
    for chunk in chunks:
        hours, days = _local(chunk, where)
        order = np.lexsort((chunk.start_s, -chunk.score, chunk.recording, chunk.label))
        firsts = np.flatnonzero(np.diff(chunk.label[order], prepend=-1))
        for rows in np.split(order, firsts[1:]) if len(order) else ():
            label = chunk.labels[chunk.label[rows[0]]]
            if label not in sums:
                sums[label] = _Sums(chunk.row(rows.min()))
            sums[label].add(chunk, rows, hours[rows], days[rows], moments)
    found = [one.species(moments) for one in sums.values()]
    return sorted(found, key=lambda species: (-species.count, -species.best, species.name))


def _local(chunk: Columns, where: tzinfo) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The local hour of each row, -1 where it has no time, and the local day since 1970."""
    quarters, place = np.unique(chunk.start_utc_ns // QUARTER_NS, return_inverse=True)
    # Clocks change at full quarters of an hour.
    offsets = [local_time(quarter * QUARTER_NS, where).utcoffset() or timedelta() for quarter in quarters.tolist()]
    offset_s = np.array([round(offset.total_seconds()) for offset in offsets], np.int64)
    local_s = chunk.start_utc_ns // 10**9 + offset_s[place]
    return np.where(chunk.dated, local_s // 3600 % 24, -1), local_s // 86400


@dataclass(slots=True)
class _Sums:
    """What is known of a species so far. best: the best moments of recordings, the best first in each and of all."""

    first: DetectionRow
    count: int = 0
    recordings: int = 0
    by_hour: Counter[int] = field(default_factory=Counter)
    by_day: Counter[date] = field(default_factory=Counter)
    best_score: float = 0.0
    best: list[list[DetectionRow]] = field(default_factory=list)

    def add(
        self,
        chunk: Columns,
        rows: npt.NDArray[np.intp],
        hours: npt.NDArray[np.int64],
        days: npt.NDArray[np.int64],
        moments: int,
    ) -> None:
        """Rows of whole recordings, by recording, the best of each first."""
        firsts = np.flatnonzero(np.diff(chunk.recording[rows], prepend=-1))
        self.count += len(rows)
        self.recordings += len(firsts)
        self.best_score = max(self.best_score, float(chunk.score[rows[firsts]].max()))
        for hour, count in zip(*np.unique(hours[hours >= 0], return_counts=True), strict=True):
            self.by_hour[int(hour)] += int(count)
        for day, count in zip(*np.unique(days[hours >= 0], return_counts=True), strict=True):
            self.by_day[EPOCH + timedelta(days=int(day))] += int(count)
        self._show(chunk, rows, firsts, moments)

    def _show(self, chunk: Columns, rows: npt.NDArray[np.intp], firsts: npt.NDArray[np.intp], moments: int) -> None:
        """Keep the best moments of the recordings whose best is among the best `moments` of all."""
        if not moments:
            return
        scores = chunk.score[rows[firsts]]
        least = self.best[-1][0].score if len(self.best) == moments else 0.0
        if len(scores) > moments:
            least = max(least, float(np.partition(scores, -moments)[-moments]))
        ends = np.append(firsts[1:], len(rows))
        # Several of one recording are shown only where there are fewer recordings than moments.
        several = moments if self.recordings < moments else 1
        for number in np.flatnonzero(scores >= least).tolist():
            self.best.append(_apart(chunk, rows[firsts[number] : ends[number]], several))
        self.best = sorted(self.best, key=lambda group: _rank(group[0]))[:moments]

    def species(self, moments: int) -> Species:
        """The sums as they are shown."""
        shown = [group[0] for group in self.best]
        more = sorted((row for group in self.best for row in group[1:]), key=_rank)
        return Species(
            self.first.label,
            self.first.name,
            self.first.scientific_name,
            self.count,
            self.recordings,
            self.best_score,
            dict(sorted(self.by_hour.items())),
            dict(sorted(self.by_day.items())),
            (*shown, *more[: moments - len(shown)]),
        )


def _rank(row: DetectionRow) -> tuple[float, str, float]:
    return -row.score, row.recording, row.start_s


def _apart(chunk: Columns, rows: npt.NDArray[np.intp], count: int) -> list[DetectionRow]:
    """The best rows of a recording that do not overlap, the best first; `rows` are in that order."""
    chosen: list[DetectionRow] = []
    for number in rows.tolist():
        if len(chosen) == count:
            break
        row = chunk.row(number)
        if all(row.end_s <= other.start_s or other.end_s <= row.start_s for other in chosen):
            chosen.append(row)
    return chosen


def effort_of(recordings: Iterable[Mapping[str, Any]], where: tzinfo) -> Effort:
    """How long each hour of the day and each day was recorded, from the recordings' starts and lengths.

    The channels of one recording, which follow each other, count once: they recorded the same hour.
    """
    by_hour: dict[int, float] = defaultdict(float)
    by_day: dict[date, float] = defaultdict(float)
    total = 0.0
    before: str | None = None
    for recording in recordings:
        if recording["path"] == before:
            continue
        before = recording["path"]
        left_s = float(recording["duration_s"])
        total += left_s
        if recording["start_utc_ns"] is None:
            continue
        time = local_time(recording["start_utc_ns"], where)
        while left_s > 0:
            # Up to the next full hour, so that a night's file is spread over its hours.
            inside_s = min(left_s, 3600.0 - time.minute * 60 - time.second - time.microsecond / 1e6)
            by_hour[time.hour] += inside_s / 3600
            by_day[time.date()] += inside_s / 3600
            left_s -= inside_s
            time = (time.astimezone(UTC) + timedelta(seconds=inside_s)).astimezone(where)
    return Effort(by_hour, by_day, total / 3600)
