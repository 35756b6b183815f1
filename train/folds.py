"""Assigns recordings to folds, so that recordings and, if possible, recordists of a class are in one fold only."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from birdwatch.errors import ConfigError
from birdwatch.wording import listed

from .dataset import Recording

__all__ = ["Split", "groups_of", "split"]


@dataclass(frozen=True, slots=True)
class Split:
    """fold `(recordings,)`: the fold that each is held out in. notes: what the user should know about it."""

    fold: npt.NDArray[np.int64]
    notes: tuple[str, ...]


def groups_of(recordings: Sequence[Recording]) -> npt.NDArray[np.int64]:
    """Group numbers `(recordings,)`: what shares one must stay on one side.

    Recordings of a class by one recordist go together, unless the whole class is theirs: it could then never be
    trained on and evaluated at once. Files with the same name (without folder and ending) are one recording.
    """
    authors: dict[str, set[str]] = defaultdict(set)
    for recording in recordings:
        authors[recording.label].add(recording.author or recording.filename)
    parent = list(range(len(recordings)))

    def root(number: int) -> int:
        while parent[number] != number:
            number = parent[number]
        return number

    first: dict[tuple[str, ...], int] = {}
    for number, recording in enumerate(recordings):
        keys: list[tuple[str, ...]] = [("recording", PurePosixPath(recording.filename).stem)]
        if recording.author and len(authors[recording.label]) > 1:
            keys.append(("recordist", recording.label, recording.author))
        for key in keys:
            parent[root(number)] = root(first.setdefault(key, number))
    return np.array([root(number) for number in range(len(recordings))])


def split(recordings: Sequence[Recording], *, folds: int, seed: int, grouped: bool) -> Split:
    """Stratified folds of labelled recordings, `grouped` as `groups_of` says or at random as published."""
    labels = [recording.label for recording in recordings]
    groups = groups_of(recordings)
    if len(set(groups.tolist() if grouped else range(len(labels)))) < folds:
        raise ConfigError(
            f"{len(recordings)} recordings cannot be split into {folds} folds; give more, or fewer --folds"
        )
    fold = np.zeros(len(recordings), np.int64)
    kind = StratifiedGroupKFold if grouped else StratifiedKFold
    with warnings.catch_warnings():
        # scikit-learn warns of small classes; they are in the notes, by name.
        warnings.simplefilter("ignore", UserWarning)
        try:
            parts = list(
                kind(n_splits=folds, shuffle=True, random_state=seed).split(np.zeros(len(labels)), labels, groups)
            )
        except ValueError as error:
            raise ConfigError(
                f"the recordings cannot be split into {folds} folds: {error}; give fewer --folds"
            ) from None
    for number, (_, held_out) in enumerate(parts):
        fold[held_out] = number
    return Split(fold, tuple(_notes(recordings, groups, folds, grouped=grouped)))


def _notes(recordings: Sequence[Recording], groups: npt.NDArray[np.int64], folds: int, *, grouped: bool) -> list[str]:
    count = Counter(recording.label for recording in recordings)
    of_class: dict[str, set[int]] = defaultdict(set)
    authors: dict[str, set[str]] = defaultdict(set)
    for recording, group in zip(recordings, groups.tolist(), strict=True):
        of_class[recording.label].add(group)
        authors[recording.label].add(recording.author)
    notes = []
    small = sorted(label for label, number in count.items() if number < folds)
    if small:
        notes.append(f"{len(small)} classes have fewer recordings than the {folds} folds: {listed(small)}")
    alone = sorted(label for label, found in of_class.items() if len(found) == 1)
    if alone and grouped:
        notes.append(
            f"{len(alone)} classes have only one group, so they are never trained on and evaluated at once: "
            + listed(alone)
        )
    single = sorted(
        label for label, found in authors.items() if len(found) == 1 and count[label] > 1 and "" not in found
    )
    if single and grouped:
        notes.append(f"{len(single)} classes have one recordist, who is on both sides of the split: {listed(single)}")
    if not grouped:
        notes.append("split stratified has recordists in training and validation: its scores are too high")
    return notes
