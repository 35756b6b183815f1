"""Matches labels to a model's classes by code, scientific or common name, and suggests names for typos."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from birdwatch.errors import ConfigError

__all__ = ["ClassNames"]

# difflib's ratio: "Greet Tit" is .89 from "Great Tit", other tits .6 to .7.
NEAR = 0.72


@dataclass(frozen=True, slots=True)
class ClassNames:
    """The classes that a label can mean. complete: whether these are all classes of the model, as far as is known."""

    rows: tuple[tuple[str, ...], ...]
    codes: frozenset[str]
    complete: bool
    _spellings: Mapping[str, str]
    _found: Mapping[str, set[str]]

    @classmethod
    def of(cls, labels: Iterable[Sequence[str]], *, complete: bool) -> ClassNames:
        """From rows of names, the code first (then scientific and common names, in any order, "" where unknown)."""
        rows = [tuple(row) for row in labels]
        spellings: dict[str, str] = {}
        found: dict[str, set[str]] = {}
        for code, *others in rows:
            for name in filter(None, (code, *others)):
                found.setdefault(_key(name), set()).add(code)
                spellings.setdefault(_key(name), name)
        return cls(tuple(rows), frozenset(row[0] for row in rows), complete, spellings, found)

    def extended(self, labels: Iterable[Sequence[str]]) -> ClassNames:
        """These, and all classes of a model that has them."""
        return ClassNames.of([*self.rows, *labels], complete=True)

    def resolve(self, label: str) -> str | None:
        """The code of the class that `label` means, or None. Case and `_` for a blank do not matter.

        `Parus major_Great Tit`, as BirdNET writes it, is its scientific name. Raises ConfigError where several classes
        have that name.
        """
        if label in self.codes:
            return label
        scientific, _, common = label.partition("_")
        for name in (label, scientific, common):
            found = self._found.get(_key(name), set()) if name else set()
            if len(found) > 1:
                raise ConfigError(
                    f"the label {label!r} is the name of {len(found)} classes ({', '.join(sorted(found))}); write the "
                    "code of the one that is meant"
                )
            if found:
                return next(iter(found))
        return None

    def suggestions(self, label: str) -> list[str]:
        """Up to three names that are near a label that matches none."""
        wanted = _key(label)
        # "Blue Tit" for "Eurasian Blue Tit": names in which all its words stand come first.
        within = [key for key in self._found if set(wanted.split()) <= set(key.split())]
        near = [*within[:2], *get_close_matches(wanted, self._found, n=3, cutoff=NEAR)]
        return [self._spellings[key] for key in dict.fromkeys(near)][:3]


def _key(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").split())
