"""Species filters: what a list or a range model lets through, and what is said about the rest."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from birdwatch.errors import ConfigError
from birdwatch.model.manifest import Label
from birdwatch.model.species_filter import SpeciesFilter, by_list, by_range, read_species, week_of

LABELS = (
    Label("gretit1", "Parus major", "Great Tit"),
    Label("eurrob1", "Erithacus rubecula", "European Robin"),
    Label("eurbla", "Turdus merula", "Eurasian Blackbird"),
    Label("Dog", "Dog", "Dog"),
)


@pytest.mark.parametrize(
    "names",
    [
        ["eurbla", "gretit1"],
        ["turdus MERULA", "Parus major"],
        ["Great Tit", "Turdus merula_Amsel"],
        ["eurbla"] * 2 + ["gretit1"],
    ],
)
def test_a_list_takes_codes_and_names(names: list[str]) -> None:
    assert by_list(LABELS, names, "list.txt").allowed.tolist() == [True, False, True, False]


def test_a_list_takes_names_in_both_languages() -> None:
    german = [
        replace(label, common_name=name) for label, name in zip(LABELS, ["Kohlmeise", "", "Amsel", "Hund"], strict=True)
    ]
    found = by_list(LABELS, ["European Robin", "amsel"], "list.txt", translated=german)
    assert found.allowed.tolist() == [False, True, True, False]


def test_a_list_with_an_unknown_name_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"list.txt: the model has no species 'Turdus merulla'; write the scientific"):
        by_list(LABELS, ["Parus major", "Turdus merulla"], "list.txt")


def test_species_files(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("# our garden\nParus major   # all year\n\nTurdus merula_Amsel\r\n", encoding="utf-8")
    assert read_species(path) == ["Parus major", "Turdus merula_Amsel"]
    path.write_text("# nothing\n")
    with pytest.raises(ConfigError, match="names no species"):
        read_species(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_species(tmp_path / "absent.txt")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read as text"):
        read_species(path)


def test_a_range_filters_what_it_knows_and_counts_what_it_does_not() -> None:
    found = by_range(
        LABELS, {"Parus major": 0.03, "Erithacus rubecula": 0.029, "Turdus merula": 0.9}, "the range model"
    )
    assert found.allowed.tolist() == [True, False, True, True]
    assert str(found) == "3 of 4 species, by the range model (1 unknown to it are allowed)"
    with pytest.raises(ConfigError, match="cannot filter this model"):
        by_range(LABELS, {"Corvus corax": 1.0}, "the range model")


def test_limits_and_intersection() -> None:
    both = by_list(LABELS, ["eurbla", "Dog"], "a list") & SpeciesFilter(np.array([True, True, True, False]), "a place")
    assert both.allowed.tolist() == [False, False, True, False]
    assert str(both) == "1 of 4 species, by a list and a place"
    limits = both.applied(np.full(4, 0.5, np.float32))
    assert limits.tolist() == [np.inf, np.inf, 0.5, np.inf]
    assert limits.dtype == np.float32


def test_weeks_are_48_equal_parts_of_any_year() -> None:
    for year in (2023, 2024):
        days = [date(year, 1, 1) + timedelta(n) for n in range(366 if year == 2024 else 365)]
        weeks = [week_of(day) for day in days]
        assert (weeks[0], weeks[-1]) == (1, 48)
        assert set(np.diff(weeks)) == {0, 1}
        assert {weeks.count(week) for week in range(1, 49)} <= {7, 8}
    assert week_of(date(2026, 5, 15)) == 18
