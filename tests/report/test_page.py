from __future__ import annotations

import re
from datetime import UTC, timedelta

import pytest

from birdwatch.report.moments import effort_of, species_of
from birdwatch.report.page import Moment, Page, render
from birdwatch.tables.rows import Columns, DetectionRow

START_NS = 1715574600 * 10**9  # 2024-05-13T04:30:00Z
DAY_NS = 86400 * 10**9


def row(recording, utc_ns, name="Great Tit", score=0.9):
    return DetectionRow(
        recording, f"{recording}.wav", None, 0.0, 5.0, name.lower(), name, "Parus <major>", score, 0.5, utc_ns
    )


def page(rows, recordings=(), **changes):
    species = species_of([Columns.of(rows)], UTC, moments=1)
    values = {
        "title": "t", "species": species, "moments": {}, "effort": effort_of(recordings, UTC),
        "recordings": len({item.recording for item in rows}), "failed": [], "band_hz": (0.0, 12000.0), "zone": "UTC",
        "about": "a",
    } | changes  # fmt: skip
    return render(Page(**values))


def test_nothing_from_a_table_is_markup():
    evil = "<script>alert('x')</script>\"'&"
    item = row(evil, START_NS, evil)
    html = page(
        [item],
        title=evil,
        zone=evil,
        about=evil,
        failed=[(evil, evil)],
        moments={item.label: [Moment(item, evil, b"png", ("audio/mpeg", b"mp3"))]},
    )
    assert "<script>alert" not in html
    assert html.count("<script>") == 1
    assert 'data-sound="data:audio/mpeg;base64,bXAz"' in html
    assert not re.findall(r'="[^"]*<', html)


def test_one_recording_of_1970_adds_a_column_not_twenty_thousand():
    rows = [row(f"r{number}", START_NS + number * DAY_NS) for number in range(5)]
    usual, odd = page(rows), page([*rows, row("unset", 3600 * 10**9)])
    assert len(odd) < 1.2 * len(usual)
    assert ">Jan 1970</text>" in odd
    assert ">…</text>" in odd
    assert ">…</text>" not in usual
    # A month without a recording in a season stays a month.
    month = page([*rows, row("later", START_NS + 30 * DAY_NS)])
    assert ">…</text>" not in month
    assert "12 June 2024" in month


@pytest.mark.parametrize("gap", [timedelta(days=40), timedelta(days=4000)])
def test_long_gaps_with_hours_of_recording(gap):
    recordings = [
        {"path": f"{number}.wav", "start_utc_ns": START_NS + number * gap.days * DAY_NS, "duration_s": 3600.0}
        for number in range(2)
    ]
    html = page([row("0", START_NS)], recordings)
    assert html.count(": nothing in between") == 1
    assert "Hatched: nothing was recorded" in html


def test_a_score_is_never_certain_and_an_empty_page_says_so():
    assert "&gt;0.99" in page([row("a", START_NS, score=0.9999)])
    assert "Nothing reached its threshold" in page([])
    assert "All times are in Europe/Berlin" in page([row("a", START_NS)], zone="Europe/Berlin")
