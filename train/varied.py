"""Varied sounds with a teacher's scores: the folder that `train vary` writes and `train fit --varied` reads.

A folder holds parts of some hundred sounds each. A part is two arrays and a note, written in this order, so that a part
whose note is there is whole:

    0000.mel.npy         float16 (sounds, spectra, n_mels), decibels of mel power
    0000.embedding.npy   float16 (sounds, windows, size), the teacher's
    0000.json            what each sound is made of

and `varied.json` says what they were made from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from birdwatch.atomic_write import written_beside
from birdwatch.audio.types import FloatArray
from birdwatch.errors import ConfigError
from birdwatch.model.frontend import AMIN, FrontendSpec

from .arrays import opened
from .soft_labels import LABEL_ODDS
from .teacher import Teacher

__all__ = ["NOTE", "Ingredient", "Varied", "part_exists", "read_varied", "write_part"]

NOTE = "varied.json"


@dataclass(frozen=True, slots=True)
class Ingredient:
    """A recording in a sound: its filename, the code of its species, and how it was played.

    natural: at its original speed and direction, so that its label applies. floor: the least score of the species in a
    natural one.
    """

    filename: str
    label: str
    speed: float
    natural: bool
    floor: float = 0.0


class Varied:
    """The sounds of a folder, by number: mel powers, a teacher's embedding, targets by the teacher's classifier.

    made_of: the ingredients of each sound, part by part. teacher: whose embeddings they are. index: numbers of the
    classes by code. The arrays stay on the disk.
    """

    def __init__(
        self,
        folder: Path,
        made_of: Sequence[Sequence[tuple[Ingredient, ...]]],
        teacher: Teacher,
        index: Mapping[str, int],
    ) -> None:
        self._folder, self._teacher, self._index = folder, teacher, index
        self.made_of = [ingredients for part in made_of for ingredients in part]
        self._first = np.cumsum([0, *(len(part) for part in made_of)])

    def __len__(self) -> int:
        return len(self.made_of)

    def without(self, filenames: frozenset[str]) -> npt.NDArray[np.int64]:
        """Numbers of the mixtures without any of these recordings, for a fold that holds them out."""
        return np.array([i for i, parts in enumerate(self.made_of) if not filenames & {p.filename for p in parts}], int)

    def mel(self, number: int) -> FloatArray:
        """Mel powers float32 `(spectra, n_mels)`; what was nothing is as quiet as the front end goes."""
        decibels = self._row("mel", number).astype(np.float32)
        return np.asarray(np.float32(10.0) ** (decibels / np.float32(10.0)))

    def embedding(self, number: int) -> FloatArray:
        """The mean of the teacher's embeddings `(size,)`."""
        return np.asarray(self._row("embedding", number).mean(axis=0, dtype=np.float32))

    def target(self, number: int) -> FloatArray:
        """Targets `(classes,)`: the most that the teacher gives a class in any of its windows.

        For a species whose recording is in it as it was sung, the odds are multiplied by LABEL_ODDS, and the score is
        at least that ingredient's floor. Classes that the teacher does not know have the floor, else 0.
        """
        teacher = self._teacher
        logits = self._row("embedding", number).astype(np.float32) @ teacher.weight.T + teacher.bias
        most = logits.max(axis=0)
        own = [(self._index[item.label], item.floor) for item in self.made_of[number] if self._counts(item)]
        for label in {label for label, _ in own}:
            most[label] += np.log(LABEL_ODDS)
        target = np.where(teacher.known, 1.0 / (1.0 + np.exp(-most)), 0.0).astype(np.float32)
        for label, floor in own:
            target[label] = max(target[label], floor)
        return target

    def _counts(self, item: Ingredient) -> bool:
        return item.natural and item.label in self._index

    def _row(self, kind: str, number: int) -> npt.NDArray[np.float16]:
        part = int(np.searchsorted(self._first, number, side="right")) - 1
        rows = opened(array_of(self._folder, part, kind))
        return np.asarray(rows[number - int(self._first[part])])


def array_of(folder: Path, part: int, kind: str) -> Path:
    """Where the array `mel` or `embedding` of a part lies."""
    return folder / f"{part:04}.{kind}.npy"


def part_exists(folder: Path, number: int) -> bool:
    """Whether a part is whole."""
    return (folder / f"{number:04}.json").exists()


def write_part(
    folder: Path,
    number: int,
    power: FloatArray,
    embeddings: FloatArray,
    made_of: Sequence[Sequence[Ingredient]],
) -> None:
    """Write a part: mel powers `(sounds, n_mels, spectra)`, embeddings `(sounds, windows, size)`, and what they are."""
    decibels = 10.0 * np.log10(np.maximum(power, AMIN)).transpose(0, 2, 1)
    for name, array in (("mel", decibels), ("embedding", embeddings)):
        with written_beside(array_of(folder, number, name), binary=True) as stream:
            np.save(cast("IO[bytes]", stream), array.astype(np.float16))
    with written_beside(folder / f"{number:04}.json") as stream:
        json.dump([[asdict(item) for item in items] for items in made_of], cast("IO[str]", stream))


def read_varied(folder: Path, spec: FrontendSpec, teacher: Teacher, codes: Sequence[str]) -> Varied:
    """Open what `train vary` wrote, arrays on the disk; raises ConfigError where it does not fit or is not whole."""
    try:
        note: dict[str, Any] = json.loads((folder / NOTE).read_text("utf-8"))
        if note["frontend"] != spec.fingerprint:
            raise ConfigError(f"{folder} was made for another front end; make it again with `train vary`")
        made_of: list[list[tuple[Ingredient, ...]]] = []
        for number in range(note["parts"]):
            if not part_exists(folder, number):
                raise ConfigError(
                    f"{folder} holds {number} of {note['parts']} parts; go on with the same `train vary` command"
                )
            held = json.loads((folder / f"{number:04}.json").read_text("utf-8"))
            made_of.append([tuple(Ingredient(**item) for item in items) for items in held])
        size = opened(array_of(folder, 0, "embedding")).shape[2]
    except OSError as error:
        raise ConfigError(f"no varied sounds in {folder}: {error.strerror or error}; make them: `train vary`") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{folder} is not a folder of `train vary`: {error}") from None
    if size != teacher.size:
        raise ConfigError(
            f"{folder} holds embeddings of {size} numbers, the teacher's have {teacher.size}; "
            "make them with the same teacher"
        )
    return Varied(folder, made_of, teacher, {code: number for number, code in enumerate(codes)})
