from __future__ import annotations

from datetime import UTC, date

import pytest

from birdwatch.audio.timestamps import zone
from birdwatch.report.moments import effort_of, species_of
from birdwatch.tables.rows import DetectionRow

START_NS = 1715574600 * 10**9  # 2024-05-13T04:30:00Z


def row(recording, start_s, score, label="gretit1", known=True):
    return DetectionRow(
        recording, f"{recording}.wav", None, start_s, start_s + 5, label, "", "", score, 0.5,
        START_NS + int(start_s * 1e9) if known else None,
    )  # fmt: skip


def test_the_best_moments_come_from_different_recordings_first_and_never_overlap():
    rows = [row("a", 0, 0.99), row("a", 2.5, 0.98), row("a", 5, 0.9), row("b", 0, 0.7), row("a", 20, 0.8)]
    (species,) = species_of(rows, UTC, moments=3)
    assert [(row.recording, row.start_s) for row in species.moments] == [("a", 0), ("b", 0), ("a", 5)]
    (species,) = species_of(rows, UTC, moments=9)
    assert [(row.recording, row.start_s) for row in species.moments] == [("a", 0), ("b", 0), ("a", 5), ("a", 20)]
    assert (species.count, species.recordings, species.best) == (5, 2, 0.99)


def test_species_are_ordered_by_count_and_counted_on_the_local_clock():
    rows = [row("a", 0, 0.9), row("a", 80000, 0.9), row("b", 0, 0.6, "eurbla", known=False)]
    first, second = species_of(rows, zone("Europe/Berlin"), moments=1)
    assert (first.label, dict(first.by_hour)) == ("gretit1", {6: 1, 4: 1})
    assert dict(first.by_day) == {date(2024, 5, 13): 1, date(2024, 5, 14): 1}
    assert (second.count, dict(second.by_hour)) == (1, {})


def test_a_night_is_spread_over_its_hours_and_channels_count_once():
    recordings = [
        {"path": "a.wav", "start_utc_ns": START_NS, "duration_s": 5400.0},
        {"path": "a.wav", "start_utc_ns": START_NS, "duration_s": 5400.0},
        {"path": "b.wav", "start_utc_ns": START_NS + 19 * 3600 * 10**9, "duration_s": 3600.0},
        {"path": "c.wav", "start_utc_ns": None, "duration_s": 1800.0},
    ]
    effort = effort_of(recordings, UTC)
    assert dict(effort.by_hour) == pytest.approx({4: 0.5, 5: 1.0, 23: 0.5, 0: 0.5})
    assert dict(effort.by_day) == pytest.approx({date(2024, 5, 13): 2.0, date(2024, 5, 14): 0.5})
    assert effort.hours == pytest.approx(3.0)
