"""Which of a model's species are let through: by a list, or by place and season through a range model's answer."""

from __future__ import annotations

import calendar
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from birdwatch.audio.types import FloatArray
from birdwatch.errors import ConfigError, reason_of
from birdwatch.model.manifest import Label
from birdwatch.whole_file import read_text

__all__ = ["RANGE_THRESHOLD", "WEEKS", "SpeciesFilter", "by_list", "by_range", "read_species", "week_of"]

# Species with a lower probability count as absent: birdnetlib's and BirdNET-Analyzer's value.
RANGE_THRESHOLD = 0.03
# BirdNET counts 48 weeks a year.
WEEKS = 48
# Every bird of the world in three languages has 1 MB.
MAX_LIST_BYTES = 5_000_000


@dataclass(frozen=True, slots=True)
class SpeciesFilter:
    """allowed: bool `(classes,)`, read-only, in the model's label order. reason: the origin of the filter, as text."""

    allowed: npt.NDArray[np.bool_]
    reason: str

    def __post_init__(self) -> None:
        self.allowed.flags.writeable = False

    def __str__(self) -> str:
        return f"{int(self.allowed.sum())} of {len(self.allowed)} species, by {self.reason}"

    @property
    def sha256(self) -> str:
        """Changes with any class that is let through or not."""
        return hashlib.sha256(self.allowed.tobytes()).hexdigest()

    def applied(self, limits: FloatArray) -> FloatArray:
        """Thresholds `(classes,)` that a filtered class can never reach (infinity), the others as they were."""
        return np.where(self.allowed, limits, np.float32(np.inf)).astype(np.float32)

    def __and__(self, other: SpeciesFilter) -> SpeciesFilter:
        """Only what both let through."""
        return SpeciesFilter(self.allowed & other.allowed, f"{self.reason} and {other.reason}")


def week_of(day: date) -> int:
    """The week 1..48 of a day, as birdnetlib counts: the year in 48 equal parts."""
    days = 366 if calendar.isleap(day.year) else 365
    return -(-day.timetuple().tm_yday * WEEKS // days)


def read_species(path: Path) -> list[str]:
    """The lines of a species list without comments (`#`) and empty lines. Raises ConfigError."""
    try:
        text = read_text(path, limit=MAX_LIST_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the species list {path} cannot be read as text: {reason_of(error)}") from error
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    names = [line for line in lines if line]
    if not names:
        raise ConfigError(f"the species list {path} names no species; expected one a line")
    return names


def by_list(
    labels: Sequence[Label], names: Iterable[str], source: str, *, translated: Sequence[Label] = ()
) -> SpeciesFilter:
    """Lets through what `names` lists: codes, scientific or common names, or BirdNET's `Scientific_Common`.

    translated: the same labels with names in another language, which then count as well. Upper and lower case do not
    matter. Raises ConfigError that names what no class of the model has, since a typo would otherwise exclude a species
    silently.
    """
    known: dict[str, set[int]] = {}
    for number, label in chain(enumerate(labels), enumerate(translated)):
        for name in (label.code, label.scientific_name, label.common_name):
            if name:
                known.setdefault(name.casefold(), set()).add(number)
    allowed = np.zeros(len(labels), np.bool_)
    unknown = []
    for name in names:
        found = known.get(name.casefold()) or known.get(name.split("_")[0].casefold())
        if found:
            allowed[list(found)] = True
        else:
            unknown.append(name)
    if unknown:
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        raise ConfigError(
            f"{source}: the model has no species {', '.join(map(repr, unknown[:5]))}{more}; write the scientific "
            "name, the common name or the code that `birdwatch model show` lists"
        )
    return SpeciesFilter(allowed, source)


def by_range(
    labels: Sequence[Label], probabilities: Mapping[str, float], source: str, *, threshold: float = RANGE_THRESHOLD
) -> SpeciesFilter:
    """Allows the species to which a range model gives at least `threshold` for one place and week.

    probabilities: by scientific name. A class whose scientific name the range model does not know (a dog, a newer
    taxonomy) is allowed, and counted in the reason. Raises ConfigError where that is every class.
    """
    known = [probabilities.get(label.scientific_name) for label in labels]
    unknown = sum(value is None for value in known)
    if unknown == len(labels):
        raise ConfigError(
            f"{source} cannot filter this model: none of its labels has a scientific name that the range model knows"
        )
    allowed = np.array([value is None or value >= threshold for value in known], np.bool_)
    note = f" ({unknown} unknown to it are allowed)" if unknown else ""
    return SpeciesFilter(allowed, source + note)
