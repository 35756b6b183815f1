"""`train vary`: draw sounds from the recordings, let the teacher score each, and keep both."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from math import ceil
from pathlib import Path
from typing import IO, cast

import numpy as np

from birdwatch.api import load_model
from birdwatch.atomic_write import written_beside
from birdwatch.audio.file import AudioFile
from birdwatch.audio.types import AudioBlock, FloatArray, Window
from birdwatch.errors import ConfigError, SinkError, SourceError
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.frontend import FrontendSpec, mel_power
from birdwatch.scores.pipeline import WindowStream, windows_of

from .draws import class_shares
from .frontend import frontend_of
from .gather import Data, gather
from .progress import tracked
from .settings import Settings
from .varied import NOTE, Ingredient, part_exists, write_part
from .vary import Played, Variations, made, played
from .windows import Source, Windows

__all__ = ["Sounds", "vary"]

# Sounds a part: what an interrupted run may lose.
PART = 500
Say = Callable[[str], None]


class Sounds:
    """Sounds by number, each drawn from a generator of its own, so that part of them can be made again."""

    def __init__(self, data: Data, settings: Settings, spec: FrontendSpec, how: Variations, *, count: int) -> None:
        self._data, self.spec, self._how, self._seed = data, spec, how, settings.seed
        self._codes = data.codes
        self._windows = Windows(data.sources, spec, len(data.labels), settings=settings, fold=-1)
        self._drawable = [number for number, source in enumerate(data.sources) if source.labels]
        self._shares = class_shares(data.sources, self._drawable, settings, count)

    def __getitem__(self, number: int) -> tuple[FloatArray, tuple[Ingredient, ...]]:
        """The samples `(window_frames,)` of a sound, and what it is made of."""
        rng = np.random.default_rng((self._seed, number))
        how = self._how
        backgrounds = self._data.backgrounds
        if backgrounds and rng.random() < how.nothing:
            return made([self._background(rng)], None, self.spec.rate_hz, rng, how), ()
        drawn = [self._sound(rng) for _ in range(2 if rng.random() < how.second else 1)]
        under = self._background(rng) if backgrounds and rng.random() < how.background else None
        samples = made([sound for sound, _ in drawn], under, self.spec.rate_hz, rng, how)
        return samples, tuple(ingredient for _, ingredient in drawn)

    def _sound(self, rng: np.random.Generator) -> tuple[FloatArray, Ingredient]:
        number = self._drawable[int(rng.choice(len(self._drawable), p=self._shares))]
        source = self._data.sources[number]
        way = Played.draw(rng, self._how)
        start = self._windows.start_of(number, "labelled" if rng.random() < self._how.labelled else "random", rng)
        # A faster sound is of more seconds: about the same middle.
        window_s = self._windows.window_s
        start_s = max(0.0, start * self._windows.grid_s - (way.speed - 1.0) * window_s / 2)
        samples, rate_hz = read_part(source, start_s, window_s * way.speed)
        sound = played(samples, rate_hz, self.spec.rate_hz, self.spec.window_frames, way)
        floor = floor_of(source) if way.natural else 0.0
        return sound, Ingredient(source.filename, self._codes[source.labels[0]], way.speed, way.natural, floor)

    def _background(self, rng: np.random.Generator) -> FloatArray:
        source = self._data.backgrounds[int(rng.integers(len(self._data.backgrounds)))]
        start_s = float(rng.integers(source.starts)) * self._windows.grid_s
        samples, rate_hz = read_part(source, start_s, self._windows.window_s)
        return played(samples, rate_hz, self.spec.rate_hz, self.spec.window_frames, Played())


def read_part(source: Source, start_s: float, length_s: float) -> tuple[FloatArray, int]:
    """Samples `(n,)` of a recording from `start_s`, mono, and their rate; repeated to `length_s` if it is shorter.

    Raises SourceError where it cannot be read.
    """
    audio = AudioFile(source.audio)
    frames = ceil(length_s * audio.rate_hz)
    first_s = max(0.0, min(start_s, (audio.frames - frames) / audio.rate_hz))
    samples = audio.read(first_s, first_s + frames / audio.rate_hz)
    if not len(samples):
        raise SourceError(f"{source.audio} has no audio at {first_s:.1f} s; copy it again or leave it out")
    return np.resize(samples, frames), audio.rate_hz


def floor_of(source: Source) -> float:
    """The one score that the soft labels give a recording's own species wherever they give one; 0 where it varies.

    Either the teacher finds it nowhere, and `teach` has written down the recordist's word for every window, or it is as
    sure everywhere. Both hold for any window of the recording, whatever else sounds in it.
    """
    if source.spans is None:
        return 0.0
    scores = source.spans.score[source.spans.label == source.labels[0]]
    same = len(scores) > 0 and float(np.ptp(scores)) == 0.0
    return float(scores[0]) if same else 0.0


@dataclass(frozen=True, slots=True)
class TeacherWindows:
    """The `windows` windows of a teacher that cover each sound of one length, evenly spread."""

    model: OnnxClassifier
    rate_hz: int
    windows: int
    hop_s: float

    @classmethod
    def of(cls, model: OnnxClassifier, spec: FrontendSpec) -> TeacherWindows:
        """The fewest windows that cover every second. Raises ConfigError for a model without embeddings."""
        manifest = model.manifest
        if manifest.embedding_output is None:
            raise ConfigError(f"{model.path.name} has no embeddings to learn; use a teacher that has, such as birdnet")
        own_s, sound_s = manifest.window_frames / manifest.rate_hz, spec.window_frames / spec.rate_hz
        windows = max(1, ceil(sound_s / own_s - 1e-9))
        return cls(model, spec.rate_hz, windows, (sound_s - own_s) / (windows - 1) if windows > 1 else own_s)

    def embed(self, sounds: Iterator[FloatArray]) -> Iterator[FloatArray]:
        """The embeddings `(windows, size)` of each sound, in order."""
        embedded = self.model.embed_windows(window for sound in sounds for window in self._windows_of(sound))
        while found := [values for _, values in islice(embedded, self.windows)]:
            yield np.stack(found)

    def _windows_of(self, sound: FloatArray) -> list[Window]:
        stream = WindowStream(self.rate_hz, self.model.manifest, hop_s=self.hop_s)
        return list(windows_of([AudioBlock(sound, 0, self.rate_hz)], stream))[: self.windows]


def vary(
    settings: Settings, model: str, count: int, out: Path, how: Variations, *, say: Say, quiet: bool = False
) -> int:
    """Make `count` sounds into the folder `out`, the parts that are not there yet; returns how many were made.

    Raises ConfigError where `out` was made otherwise.
    """
    if not settings.soft_labels:
        raise ConfigError("vary follows where the soft labels have the species: give --soft-labels")
    # Whatever a run takes its windows from: here they follow the species, so the cache holds whole recordings.
    settings = replace(settings, clip="labelled")
    spec = frontend_of(settings)
    teacher_windows = TeacherWindows.of(load_model(model), spec)
    data = gather(settings, spec, say=say, quiet=quiet)
    parts = ceil(count / PART)
    note = {
        "schema": 1,
        "frontend": spec.fingerprint,
        "teacher": teacher_windows.model.sha256,
        "data": data.fingerprint,
        "soft_labels": data.soft_labels,
        "seed": settings.seed,
        "variations": asdict(how),
        "sounds": count,
        "parts": parts,
    }
    begin(out, note)
    sounds = Sounds(data, settings, spec, how, count=count)
    missing = [part for part in range(parts) if not part_exists(out, part)]
    for part in tracked(missing, len(missing), f"parts of {PART} sounds", quiet=quiet):
        power, embeddings, made_of = teach_part(
            sounds, teacher_windows, range(part * PART, min(count, (part + 1) * PART))
        )
        write_part(out, part, power, embeddings, made_of)
    return sum(min(count, (part + 1) * PART) - part * PART for part in missing)


def teach_part(
    sounds: Sounds, teacher_windows: TeacherWindows, numbers: Sequence[int]
) -> tuple[FloatArray, FloatArray, list[tuple[Ingredient, ...]]]:
    """Sounds as `write_part` takes them: mel powers, the teacher's embeddings, ingredients; drawn while it listens."""
    spec = sounds.spec
    power = np.empty((len(numbers), spec.n_mels, spec.spectra), np.float32)
    made_of: list[tuple[Ingredient, ...]] = []

    def drawn() -> Iterator[FloatArray]:
        for row, number in enumerate(numbers):
            samples, ingredients = sounds[number]
            power[row] = mel_power(samples[None], spec)[0]
            made_of.append(ingredients)
            yield samples

    return power, np.stack(list(teacher_windows.embed(drawn()))), made_of


def begin(out: Path, note: dict[str, object]) -> None:
    """Make the folder and its note; raises ConfigError if there is one that says otherwise."""
    path = out / NOTE
    if path.exists():
        try:
            found = json.loads(path.read_text("utf-8"))
        except ValueError:
            raise ConfigError(f"{path} is damaged; delete the folder and make it again") from None
        differing = [
            f"{key} {found.get(key)!r}, not {value!r}" for key, value in note.items() if found.get(key) != value
        ]
        if differing:
            raise ConfigError(f"{out} was made with {'; '.join(differing)}; choose another --out, or delete it")
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"the folder {out} cannot be made: {error.strerror}") from None
    with written_beside(path) as stream:
        json.dump(note, cast("IO[str]", stream), indent=1)
