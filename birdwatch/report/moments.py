"""What the page shows of each species: how often and when it was detected, and its best moments."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta, tzinfo
from typing import Any

from birdwatch.tables.local_time import local_time
from birdwatch.tables.rows import DetectionRow

__all__ = ["Effort", "Species", "effort_of", "species_of"]


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


def species_of(rows: Iterable[DetectionRow], where: tzinfo, *, moments: int) -> list[Species]:
    """Each detected species, the one with most detections first."""
    groups: dict[str, list[DetectionRow]] = defaultdict(list)
    for row in rows:
        groups[row.label].append(row)
    found = []
    for label, group in groups.items():
        times = [local_time(row.start_utc_ns, where) for row in group if row.start_utc_ns is not None]
        found.append(
            Species(
                label,
                group[0].name,
                group[0].scientific_name,
                len(group),
                len({row.recording for row in group}),
                max(row.score for row in group),
                Counter(time.hour for time in times),
                Counter(time.date() for time in times),
                _best(group, moments),
            )
        )
    return sorted(found, key=lambda species: (-species.count, -species.best, species.name))


def _best(group: Sequence[DetectionRow], count: int) -> tuple[DetectionRow, ...]:
    """The best-scored moments, each of another recording as far as there are enough; never two that overlap."""
    order = sorted(group, key=lambda row: (-row.score, row.recording, row.start_s))
    chosen: list[DetectionRow] = []
    for same_recording in (False, True):
        for row in order:
            if len(chosen) == count:
                return tuple(chosen)
            others = [other for other in chosen if other.recording == row.recording]
            if not others or (
                same_recording and all(row.end_s <= other.start_s or other.end_s <= row.start_s for other in others)
            ):
                chosen.append(row)
    return tuple(chosen)


def effort_of(recordings: Iterable[Mapping[str, Any]], where: tzinfo) -> Effort:
    """How long each hour of the day and each day was recorded, from the recordings' starts and lengths.

    The channels of one recording count once: they recorded the same hour.
    """
    by_hour: dict[int, float] = defaultdict(float)
    by_day: dict[date, float] = defaultdict(float)
    total = 0.0
    seen: set[str] = set()
    for recording in recordings:
        if recording["path"] in seen:
            continue
        seen.add(recording["path"])
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
