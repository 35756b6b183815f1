"""Windows for the network: how each is cut from the mel cache, with its targets and what is mixed in.

Every draw carries its own seed (run, fold, epoch, position), so what is loaded does not depend on how many processes
load it, nor on where an interrupted run is resumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from birdwatch.audio.types import FloatArray
from birdwatch.errors import ConfigError
from birdwatch.model.frontend import AMIN, FrontendSpec

from .arrays import opened
from .cache import GRID, crop, window_starts
from .settings import Settings
from .soft_labels import Spans
from .teacher import Embeddings, Teacher
from .varied import Varied

__all__ = ["NOISE", "VARIED", "Draw", "Source", "Windows", "activity", "source"]

NOISE = -1
VARIED = -2
# A window without the species keeps this chance, relative to one that surely has it.
UNLABELLED = 0.02


@dataclass(frozen=True, slots=True)
class Source:
    """A recording as the loader needs it.

    starts: its window starts in the cache. labels: classes that occur, the primary one first (empty: none).
    masked: classes left out of the loss. spans: soft labels, which then decide instead of `labels`. embeddings: a
    teacher's. extra: only trained on, never evaluated. audio: the recording itself, for those who play it.
    """

    array: Path
    filename: str
    starts: int
    labels: tuple[int, ...] = ()
    masked: tuple[int, ...] = ()
    spans: Spans | None = None
    embeddings: Embeddings | None = None
    extra: bool = False
    audio: Path = Path()


def source(array: Path, filename: str, spec: FrontendSpec, **labels: object) -> Source:
    """A Source whose starts are counted in its array; raises ConfigError if that cannot be read."""
    try:
        rows = opened(array)
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(f"the cached {array} is damaged ({error}); delete it and prepare again") from None
    return Source(array, filename, window_starts(len(rows), spec), **labels)  # type: ignore[arg-type]


class Draw(NamedTuple):
    """One window to load: the source's number and its start, None to choose one.

    NOISE in place of the source's number is background alone; VARIED a varied sound, whose number `start` is.
    """

    epoch: int
    position: int
    source: int
    start: int | None


class Windows(Dataset[dict[str, torch.Tensor]]):
    """Loads draws: `mel` float32 `(T, n_mels)`, `target` and `weight` `(classes,)`, and what is to be mixed in.

    `background` `(T, n_mels)` is there where backgrounds are given, zero where none was drawn; `pseudo` and
    `pseudo_target` likewise. With a teacher, `embedding` `(size,)` is its own in units of its spread, and
    `embedding_weight` is 0 where it has none. With varied sounds, `varied` says of each window whether it is one.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        spec: FrontendSpec,
        classes: int,
        *,
        settings: Settings,
        fold: int,
        backgrounds: Sequence[Source] = (),
        pseudo: Sequence[Source] = (),
        teacher: Teacher | None = None,
        varied: Varied | None = None,
    ) -> None:
        self.teacher, self.varied = teacher, varied
        self.sources, self.backgrounds, self.pseudo = sources, backgrounds, pseudo
        self.spec, self.classes, self.settings, self.fold = spec, classes, settings, fold
        self.grid_s = GRID * spec.hop_frames / spec.rate_hz
        self.window_s = spec.window_frames / spec.rate_hz
        # Sure soundscapes are drawn more often, as their pseudo-labels teach more.
        sureness = np.array([_sureness(item) for item in pseudo])
        self.pseudo_share = sureness / sureness.sum() if len(pseudo) else sureness
        self._shares: dict[tuple[str, int], npt.NDArray[np.float64]] = {}

    def __getitem__(self, draw: Draw) -> dict[str, torch.Tensor]:
        """Load one draw."""
        settings = self.settings
        rng = np.random.default_rng((settings.seed, self.fold + 1, draw.epoch, draw.position))
        target = np.zeros(self.classes, np.float32)
        weight = np.ones(self.classes, np.float32)
        embedding: FloatArray | None = None
        if draw.source == NOISE:
            mel = self._cut_randomly(self.backgrounds, rng)
        elif draw.source == VARIED:
            assert self.varied is not None
            assert draw.start is not None
            mel, target = self.varied.mel(draw.start), self.varied.target(draw.start)
            embedding = self.varied.embedding(draw.start)
        else:
            item = self.sources[draw.source]
            start = self.start_of(draw.source, settings.clip, rng) if draw.start is None else draw.start
            mel = crop(opened(item.array), start, self.spec)
            target = self.targets(item, np.array([start]))[0]
            weight[list(item.masked)] = 0.0
            if item.embeddings is not None:
                embedding = item.embeddings.mean(start * self.grid_s, self.window_s)
        loaded = {"mel": mel, "target": target, "weight": weight, "position": np.array(draw.position)}
        if self.teacher is not None:
            given = self.teacher.mean if embedding is None else embedding
            loaded["embedding"] = (given - self.teacher.mean) / self.teacher.spread
            loaded["embedding_weight"] = np.array(embedding is not None, np.float32)
        if self.varied is not None:
            loaded["varied"] = np.array(draw.source == VARIED)
        if self.backgrounds:
            under = draw.source >= 0 and rng.random() < settings.background_prob
            loaded["background"] = self._cut_randomly(self.backgrounds, rng) if under else np.zeros_like(mel)
        if self.pseudo:
            loaded["pseudo"], loaded["pseudo_target"] = np.zeros_like(mel), np.zeros_like(target)
            if draw.source != VARIED and rng.random() < settings.pseudo_prob:
                item = self.pseudo[rng.choice(len(self.pseudo), p=self.pseudo_share)]
                starts = np.array([rng.integers(item.starts)])
                loaded["pseudo"] = crop(opened(item.array), int(starts[0]), self.spec)
                loaded["pseudo_target"] = self.targets(item, starts)[0]
        return {name: torch.from_numpy(value) for name, value in loaded.items()}

    def targets(self, item: Source, starts: npt.NDArray[np.int64]) -> FloatArray:
        """Targets `(windows, classes)` of the windows at `starts`: the soft labels', or the recording's own."""
        if item.spans is not None:
            soft = item.spans.targets(starts * self.grid_s, self.window_s, self.classes)
            if item.labels:
                primary = soft[:, item.labels[0]]
                np.maximum(primary, self.settings.primary_floor, out=primary)
            return soft
        hard = np.zeros((len(starts), self.classes), np.float32)
        hard[:, list(item.labels)] = 1.0
        return hard

    def _cut_randomly(self, sources: Sequence[Source], rng: np.random.Generator) -> FloatArray:
        item = sources[int(rng.integers(len(sources)))]
        return crop(opened(item.array), int(rng.integers(item.starts)), self.spec)

    def start_of(self, number: int, clip: str, rng: np.random.Generator) -> int:
        """Draw a window's start number in a source, as the setting `clip` says."""
        starts = self.sources[number].starts
        if starts == 1:
            return 0
        if clip == "center":
            return starts // 2
        if clip in ("energy", "labelled"):
            if (clip, number) not in self._shares:
                self._shares[clip, number] = self._start_shares(clip, number)
            return int(rng.choice(starts, p=self._shares[clip, number]))
        return int(rng.integers(starts))

    def _start_shares(self, clip: str, number: int) -> npt.NDArray[np.float64]:
        """The chance of each start `(starts,)` of a source: by its species' soft labels, or where there is signal."""
        item = self.sources[number]
        if clip == "labelled" and item.spans is not None and item.labels:
            labelled = item.spans.targets(np.arange(item.starts) * self.grid_s, self.window_s, self.classes)
            shares = labelled[:, item.labels[0]].astype(np.float64) + UNLABELLED
        else:
            shares = activity(opened(item.array), item.starts, self.spec)
        return np.asarray(shares / shares.sum(), np.float64)


def activity(rows: FloatArray, starts: int, spec: FrontendSpec) -> npt.NDArray[np.float64]:
    """How much rises over the recording's steady sound in the window at each start, `(starts,)`, above 0.

    Decibels above each mel band's median, over 10 dB so that steady noise hardly counts, summed over bands and spectra.
    """
    spectra = spec.spectra + (starts - 1) * GRID
    db = 10.0 * np.log10(np.maximum(rows[:spectra], AMIN))
    above = np.maximum(db - np.median(db, axis=0) - 10.0, 0.0).sum(axis=1, dtype=np.float64)
    total = np.concatenate([[0.0], np.cumsum(above)])
    first = np.arange(starts) * GRID
    signal = total[first + spec.spectra] - total[first]
    return np.asarray(signal + 0.05 * signal.mean() + 0.01 * spec.spectra)


def _sureness(item: Source) -> float:
    """The mean over a pseudo-labelled recording's spans of the highest score in each, above 0."""
    assert item.spans is not None
    best: dict[float, float] = {}
    for start_s, score in zip(item.spans.start_s.tolist(), item.spans.score.tolist(), strict=True):
        best[start_s] = max(best.get(start_s, 0.0), score)
    return sum(best.values()) / max(len(best), 1) + 1e-6
