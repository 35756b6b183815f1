from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdwatch.audio.timestamps import zone
from birdwatch.report.moments import effort_of, species_of
from birdwatch.tables.rows import Columns, DetectionRow

START_NS = 1715574600 * 10**9  # 2024-05-13T04:30:00Z


def row(recording, start_s, score, label="gretit1", known=True):
    return DetectionRow(
        recording, f"{recording}.wav", None, start_s, start_s + 5, label, "", "", score, 0.5,
        START_NS + int(start_s * 1e9) if known else None,
    )  # fmt: skip


def test_the_best_moments_come_from_different_recordings_first_and_never_overlap():
    rows = [row("a", 0, 0.99), row("a", 2.5, 0.98), row("a", 5, 0.9), row("b", 0, 0.7), row("a", 20, 0.8)]
    (species,) = species_of([Columns.of(rows)], UTC, moments=3)
    assert [(row.recording, row.start_s) for row in species.moments] == [("a", 0), ("b", 0), ("a", 5)]
    (species,) = species_of([Columns.of(rows)], UTC, moments=9)
    assert [(row.recording, row.start_s) for row in species.moments] == [("a", 0), ("b", 0), ("a", 5), ("a", 20)]
    assert (species.count, species.recordings, species.best) == (5, 2, 0.99)


def test_species_are_ordered_by_count_and_counted_on_the_local_clock():
    rows = [row("a", 0, 0.9), row("a", 80000, 0.9), row("b", 0, 0.6, "eurbla", known=False)]
    first, second = species_of([Columns.of(rows)], zone("Europe/Berlin"), moments=1)
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


def best_of(rows, count):
    """By the definition: all rows are looked at, first for other recordings, then for other times."""
    chosen: list[DetectionRow] = []
    for again in (False, True):
        for row in sorted(rows, key=lambda row: (-row.score, row.recording, row.start_s)):
            same = [other for other in chosen if other.recording == row.recording]
            apart = all(row.end_s <= other.start_s or other.end_s <= row.start_s for other in same)
            if len(chosen) < count and (not same or (again and apart)):
                chosen.append(row)
    return tuple(chosen)


# Recordings with some rows each, around the night in which clocks go back; scores that are often the same.
ROWS = st.lists(
    st.tuples(st.sampled_from(["gretit1", "eurbla"]), st.integers(0, 40), st.sampled_from([0.5, 0.75, 0.9, 1.0])),
    max_size=12,
)
AUTUMN = datetime(2024, 10, 26, 22, 55, tzinfo=UTC)
SEASON = st.lists(st.tuples(ROWS, st.integers(0, 5 * 60), st.booleans()), max_size=6)


def rows_of(season):
    """The rows of each recording."""
    for number, (found, minute, known) in enumerate(season):
        began = AUTUMN + timedelta(minutes=minute)
        yield [
            replace(
                row(f"r{(7 * number) % 10}", 2.5 * place, score, label),
                start_utc_ns=int((began + timedelta(seconds=2.5 * place)).timestamp() * 1e9) if known else None,
            )
            for label, place, score in sorted(found, key=lambda item: item[1])
        ]


@given(SEASON, st.integers(0, 5), st.lists(st.booleans(), min_size=6, max_size=6))
def test_in_pieces_the_sums_and_moments_are_those_of_all_rows(season, count, cuts):
    berlin = zone("Europe/Berlin")
    pieces: list[list[DetectionRow]] = [[]]
    for rows, cut in zip(rows_of(season), cuts, strict=False):
        pieces[-1] += rows
        if cut:
            pieces.append([])
    everything = [row for piece in pieces for row in piece]
    found = {one.label: one for one in species_of(map(Columns.of, pieces), berlin, moments=count)}
    assert found.keys() == {row.label for row in everything}
    for label, species in found.items():
        group = [row for row in everything if row.label == label]
        local = [
            datetime.fromtimestamp(row.start_utc_ns // 10**9, berlin) for row in group if row.start_utc_ns is not None
        ]
        assert species.count == len(group)
        assert species.recordings == len({row.recording for row in group})
        assert species.best == max(row.score for row in group)
        assert species.by_hour == Counter(time.hour for time in local)
        assert species.by_day == Counter(time.date() for time in local)
        assert species.moments == best_of(group, count)


def test_hours_are_those_of_zones_between_hours():
    rows = [replace(row("a", 0, 0.9), start_utc_ns=START_NS + 10 * 60 * 10**9)]
    for name, hour in (("Asia/Kathmandu", 10), ("+05:17", 9), ("Australia/Lord_Howe", 15), ("-00:41", 3)):
        (species,) = species_of([Columns.of(rows)], zone(name), moments=1)
        assert species.by_hour == {hour: 1}, name
