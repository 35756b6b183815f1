from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from birdwatch.errors import ConfigError
from train.dataset import Recording
from train.folds import groups_of, split


def recordings(spec: dict[str, dict[str, int]]) -> list[Recording]:
    """From {class: {recordist: recordings}}."""
    made = []
    for label, authors in spec.items():
        for author, count in authors.items():
            made += [Recording(f"{label}/{author}{i}.ogg", Path(), label, (), author) for i in range(count)]
    return made


def many(seed: int) -> list[Recording]:
    rng = np.random.default_rng(seed)
    return recordings(
        {f"bird{c}": {f"r{a}": int(rng.integers(1, 6)) for a in rng.choice(30, 8, replace=False)} for c in range(12)}
    )


@pytest.mark.parametrize("seed", range(5))
def test_no_recordist_of_a_class_is_on_both_sides(seed: int) -> None:
    found = many(seed)
    parts = split(found, folds=5, seed=42, grouped=True)
    assert sorted(set(parts.fold.tolist())) == [0, 1, 2, 3, 4]
    sides = defaultdict(set)
    for recording, fold in zip(found, parts.fold.tolist(), strict=True):
        sides[recording.label, recording.author].add(fold)
    assert all(len(folds) == 1 for folds in sides.values())
    counts = np.bincount(parts.fold)
    assert counts.max() <= 1.5 * counts.min(), "the folds are of similar size"


def test_the_published_split_puts_recordists_on_both_sides_and_says_so() -> None:
    found = many(0)
    parts = split(found, folds=5, seed=42, grouped=False)
    sides = defaultdict(set)
    for recording, fold in zip(found, parts.fold.tolist(), strict=True):
        sides[recording.label, recording.author].add(fold)
    assert any(len(folds) > 1 for folds in sides.values())
    assert "recordists in training and validation" in parts.notes[-1]


def test_the_same_seed_gives_the_same_folds() -> None:
    found = many(1)
    first = split(found, folds=5, seed=42, grouped=True).fold
    np.testing.assert_array_equal(first, split(found, folds=5, seed=42, grouped=True).fold)
    assert (first != split(found, folds=5, seed=43, grouped=True).fold).any()


def test_a_class_of_one_recordist_is_split_by_recording_and_reported() -> None:
    found = recordings({"lonely": {"r1": 6}, "common": {"r1": 2, "r2": 2, "r3": 2}})
    parts = split(found, folds=3, seed=0, grouped=True)
    assert len(set(parts.fold[:6].tolist())) == 3
    assert any("one recordist" in note and "lonely" in note and "common" not in note for note in parts.notes)


def test_small_classes_are_reported_by_name() -> None:
    found = recordings({"rare": {"r1": 1}, "scarce": {"r1": 1, "r2": 1}, "common": {f"r{i}": 2 for i in range(6)}})
    notes = " / ".join(split(found, folds=3, seed=0, grouped=True).notes)
    assert "2 classes have fewer recordings than the 3 folds: rare, scarce" in notes
    assert "never trained on and evaluated at once: rare" in notes


def test_one_recording_under_two_classes_stays_together() -> None:
    found = [
        Recording("a/XC1.ogg", Path(), "a", (), "r1"),
        Recording("b/XC1.ogg", Path(), "b", (), "r2"),
        Recording("b/XC2.ogg", Path(), "b", (), "r3"),
        Recording("a/XC3.ogg", Path(), "a", (), "r4"),
    ]
    groups = groups_of(found)
    assert groups[0] == groups[1]
    assert len(set(groups.tolist())) == 3


def test_unknown_recordists_are_not_one_recordist() -> None:
    found = [Recording(f"a/{i}.ogg", Path(), "a") for i in range(4)]
    assert len(set(groups_of(found).tolist())) == 4


def test_too_few_recordings_are_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be split into 5 folds"):
        split(recordings({"a": {"r1": 3}}), folds=5, seed=0, grouped=True)
    with pytest.raises(ConfigError, match="cannot be split into 3 folds"):
        split(recordings({"a": {"r1": 2}, "b": {"r2": 2}}), folds=3, seed=0, grouped=False)


def test_notes_name_at_most_ten_of_hundreds_of_classes() -> None:
    rare = recordings({f"rare{c:03}": {"r1": 2} for c in range(300)} | {"common": {f"r{a}": 5 for a in range(8)}})
    notes = split(rare, folds=5, seed=1, grouped=True).notes
    assert any(
        note.startswith("300 classes have fewer recordings than the 5 folds: rare000, rare001") for note in notes
    )
    for note in notes:
        assert note.endswith("rare009 and 290 more")
