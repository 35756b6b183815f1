"""What a model's card says: out-of-fold figures with their uncertainty, thresholds, and false alarms on other sounds.

Everything is evaluated as the daemon scores: the exported model of a fold on the recordings that it never saw, each
recording by the maximum over its windows.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from birdwatch.api import analyze
from birdwatch.audio.types import FloatArray
from birdwatch.errors import ConfigError
from birdwatch.evaluation.bootstrap import group_interval
from birdwatch.evaluation.metrics import average_precision, macro, precision_recall, roc_auc, top_1
from birdwatch.evaluation.thresholds import Thresholds, choose_thresholds
from birdwatch.model.classifier import OnnxClassifier

from .dataset import Recording
from .progress import tracked

__all__ = ["Scored", "alarms", "figures", "held_out", "interval", "score_all", "threshold_figures", "unseen_recordists"]

Rows = npt.NDArray[np.bool_]
# Resampled recordists for the 95 % intervals: the ends move by less than 0.002 from one seed to another.
ROUNDS = 1000


@dataclass(frozen=True, slots=True)
class Scored:
    """Recordings and what a model makes of them.

    scores float32 `(recordings, classes)`: the maximum over the windows. truth: the primary label's number, -1 where
    it is none of the model's. seconds of audio `(recordings,)`.
    """

    recordings: tuple[Recording, ...]
    scores: FloatArray
    truth: npt.NDArray[np.int64]
    seconds: npt.NDArray[np.float64]

    def rows(self, chosen: Rows) -> Scored:
        """Only the chosen recordings `(recordings,)`."""
        kept = tuple(recording for recording, use in zip(self.recordings, chosen, strict=True) if use)
        return Scored(kept, self.scores[chosen], self.truth[chosen], self.seconds[chosen])

    @property
    def truth_table(self) -> Rows:
        """Boolean `(recordings, classes)`."""
        return np.asarray(self.truth[:, None] == np.arange(self.scores.shape[1]))


def score_all(model: OnnxClassifier, recordings: Sequence[Recording], *, hop_s: float, quiet: bool = False) -> Scored:
    """Score whole recordings as `birdwatch run` does; raises DecodeError for a file that is no audio."""
    codes = {code: number for number, code in enumerate(model.manifest.codes)}
    found = [analyze(item.path, model, hop_s) for item in tracked(recordings, len(recordings), "judging", quiet=quiet)]
    return Scored(
        tuple(recordings),
        np.array([item.scores for item in found], np.float32),
        np.array([codes.get(item.label, -1) for item in recordings]),
        np.array([item.duration_s for item in found]),
    )


def held_out(folds: Path, fold: int, recordings: Sequence[Recording]) -> Rows:
    """Which recordings `(recordings,)` a run's `folds.csv` holds out of a fold; ConfigError where it lacks one."""
    try:
        with folds.open(encoding="utf-8", newline="") as stream:
            of_file = {row["filename"]: int(row["fold"]) for row in csv.DictReader(stream)}
    except OSError as error:
        raise ConfigError(f"no table of folds {folds}: {error.strerror}") from None
    except (KeyError, ValueError):
        raise ConfigError(f"{folds} is not the folds.csv of a run") from None
    missing = [item.filename for item in recordings if item.filename not in of_file]
    if missing:
        raise ConfigError(f"{folds} lacks {len(missing)} of the recordings, such as {missing[0]}")
    return np.array([of_file[item.filename] == fold for item in recordings])


def unseen_recordists(recordings: Sequence[Recording], judged: Rows) -> Rows:
    """Of the held-out recordings `(recordings,)`, those whose species was trained on, by other recordists only."""
    trained: dict[str, set[str]] = {}
    for item, out in zip(recordings, judged, strict=True):
        if not out:
            trained.setdefault(item.label, set()).add(item.author)
    return np.array(
        [
            bool(out and item.author and trained.get(item.label) and item.author not in trained[item.label])
            for item, out in zip(recordings, judged, strict=True)
        ]
    )


def interval(
    scored: Scored, metric: Callable[[Scored], float], *, seed: int, rounds: int = ROUNDS
) -> tuple[float, float]:
    """The 95 % interval of a metric over resampled recordists: one's recordings are alike, and go together."""
    authors = [item.author or item.filename for item in scored.recordings]
    found = group_interval(authors, lambda rows: metric(_taken(scored, rows)), seed=seed, rounds=rounds)
    return found.low, found.high


def _taken(scored: Scored, rows: npt.NDArray[np.intp]) -> Scored:
    return Scored(scored.recordings[:0], scored.scores[rows], scored.truth[rows], scored.seconds[rows])


def macro_auc(scored: Scored) -> float:
    """The competition's macro ROC-AUC, over the classes with positives."""
    return macro(roc_auc(scored.scores, scored.truth_table))


def first_right(scored: Scored) -> float:
    """The share of recordings whose highest score is their species."""
    return top_1(scored.scores, scored.truth)


def figures(scored: Scored, *, seed: int) -> dict[str, Any]:
    """Macro AUC, cmAP and top-1 of recordings with a label, and the 95 % intervals of the first and the last."""
    return {
        "recordings": len(scored.recordings),
        "recordists": len({item.author for item in scored.recordings}),
        "classes": len(set(scored.truth.tolist())),
        "auc": macro_auc(scored),
        "auc_interval": interval(scored, macro_auc, seed=seed),
        "cmap": macro(average_precision(scored.scores, scored.truth_table)),
        "top1": first_right(scored),
        "top1_interval": interval(scored, first_right, seed=seed),
    }


def threshold_figures(scored: Scored, *, precision: float, least_positives: int) -> tuple[Thresholds, dict[str, Any]]:
    """Thresholds that reach `precision` on held-out recordings, and what they give there.

    A second species in a recording, which its label does not name, counts as wrong: the precision is a lower bound.
    """
    chosen = choose_thresholds(scored.scores, scored.truth_table, precision=precision, least_positives=least_positives)
    found = scored.scores >= chosen.values
    hits = float((found & scored.truth_table).sum())
    each_precision, each_recall = precision_recall(scored.scores, scored.truth_table, chosen.values)
    return chosen, {
        "aimed_precision": precision,
        "common": chosen.common,
        "own": int(chosen.own.sum()),
        "precision": hits / max(float(found.sum()), 1.0),
        "recall": hits / float((scored.truth >= 0).sum()),
        "class_precision": each_precision.tolist(),
        "class_recall": each_recall.tolist(),
    }


def alarms(others: Scored, thresholds: npt.NDArray[np.floating], kinds: Mapping[str, str]) -> dict[str, Any]:
    """False alarms on sounds without any of the species: species reported a recording, summed, and an hour; by kind.

    kinds: the kind of sound of each file name; for others it is the name up to the first underscore.
    """
    reported = (others.scores >= thresholds).sum(axis=1)
    hours = float(others.seconds.sum()) / 3600.0
    of_kind: dict[str, dict[str, float]] = {}
    for item, seconds, count in zip(others.recordings, others.seconds.tolist(), reported.tolist(), strict=True):
        kind = kinds.get(item.filename, item.path.stem.partition("_")[0])
        row = of_kind.setdefault(kind, {"recordings": 0, "minutes": 0.0, "alarms": 0})
        row["recordings"] += 1
        row["minutes"] += seconds / 60.0
        row["alarms"] += count
    return {
        "recordings": len(others.recordings),
        "hours": hours,
        "alarms": int(reported.sum()),
        "alarms_an_hour": float(reported.sum()) / hours,
        # Poisson: with no alarm at all in so many hours, 3 an hour of them is still possible in one case of twenty.
        "alarms_an_hour_at_most": float(_poisson_upper(int(reported.sum()))) / hours,
        "kinds": dict(sorted(of_kind.items())),
    }


def _poisson_upper(count: int) -> float:
    """The upper end of the one-sided 95 % interval of a Poisson mean, of which `count` was seen."""
    from scipy.stats import chi2

    return float(chi2.ppf(0.95, 2 * (count + 1)) / 2)
