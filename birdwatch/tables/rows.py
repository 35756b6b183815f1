"""A table of detections read back: its rows, and what it says about its run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from birdwatch.audio.timestamps import parse_time

__all__ = ["DetectionRow", "DetectionTable", "row_of"]


@dataclass(frozen=True, slots=True)
class DetectionRow:
    """One row: a class in a window of a recording, or an event. start_utc_ns: ns since 1970, or None where unknown.

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
        """What people call the class."""
        return self.common_name or self.label


@dataclass(frozen=True, slots=True)
class DetectionTable:
    """All rows of a table. run: what the table says about its run (only Parquet can), else empty.

    timezone: the zone that the table's local times are in, or None.
    """

    rows: list[DetectionRow]
    run: Mapping[str, Any]
    timezone: str | None = None


def row_of(values: Mapping[str, Any]) -> DetectionRow:
    """A row of the csv or of JSON lines. Raises ValueError, KeyError or TypeError for what is none."""
    channel, start = values["channel"], values["start"]
    start_s, end_s, score = float(values["start_s"]), float(values["end_s"]), float(values["score"])
    # Written so that NaN fails too.
    if not 0 <= start_s <= end_s < math.inf or not 0 <= score <= 1:
        raise ValueError(f"a row from {start_s:g} to {end_s:g} s with score {score:g}")
    return DetectionRow(
        values["recording"],
        values["path"],
        int(channel) if channel not in ("", None) else None,
        start_s,
        end_s,
        values["label"],
        values["common_name"] or "",
        values["scientific_name"] or "",
        score,
        float(values["threshold"]),
        parse_time(start, UTC) if start else None,
        int(values["windows"]) if values.get("windows") not in ("", None) else None,
    )
