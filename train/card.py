"""The figures of a model card: metrics on recordings not used in training, thresholds, false alarms.

Everything is evaluated as the daemon scores: the model file on whole recordings, each by the maximum over its windows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from birdwatch.api import analyze
from birdwatch.audio.types import FloatArray
from birdwatch.evaluation.bootstrap import group_interval
from birdwatch.evaluation.calibration import Reliability, reliability
from birdwatch.evaluation.metrics import average_precision, macro, roc_auc
from birdwatch.evaluation.thresholds import choose_thresholds
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.manifest import Label

from .dataset import Recording
from .progress import tracked

__all__ = [
    "LEAST_THRESHOLD",
    "Scored",
    "alarms",
    "columns_of",
    "common_threshold",
    "diagram",
    "figures",
    "interval",
    "score_all",
]

Rows = npt.NDArray[np.bool_]
# Resampled recordists for the 95 % intervals: the ends move by less than 0.002 from one seed to another.
ROUNDS = 1000
# The minimum threshold, since a few held-out recordings are too little evidence for a lower one.
LEAST_THRESHOLD = 0.1


@dataclass(frozen=True, slots=True)
class Scored:
    """Recordings and a model's scores of them.

    scores: float32 `(recordings, classes)`, the maximum over the windows. truth: the number of the recording's species
    among the classes, -1 where the model lacks it. seconds: of audio `(recordings,)`.
    """

    recordings: tuple[Recording, ...]
    scores: FloatArray
    truth: npt.NDArray[np.int64]
    seconds: npt.NDArray[np.float64]

    def rows(self, chosen: npt.NDArray[Any]) -> Scored:
        """Only the chosen recordings, by a mask or by numbers (which may repeat)."""
        numbers = np.arange(len(self.recordings))[chosen]
        kept = tuple(self.recordings[number] for number in numbers.tolist())
        return Scored(kept, self.scores[numbers], self.truth[numbers], self.seconds[numbers])

    @property
    def truth_table(self) -> Rows:
        """Boolean `(recordings, classes)`."""
        return np.asarray(self.truth[:, None] == np.arange(self.scores.shape[1]))


def columns_of(labels: Sequence[Label], model: Sequence[Label]) -> dict[str, int]:
    """The model's column of each code among `labels`: by scientific name, else by code; absent where it has none."""
    by_name = {label.scientific_name.lower(): number for number, label in enumerate(model) if label.scientific_name}
    by_code = {label.code: number for number, label in enumerate(model)}
    found = {label.code: by_name.get(label.scientific_name.lower(), by_code.get(label.code)) for label in labels}
    return {code: number for code, number in found.items() if number is not None}


def score_all(
    model: OnnxClassifier,
    recordings: Sequence[Recording],
    columns: Mapping[str, int],
    *,
    hop_s: float | None,
    quiet: bool = False,
) -> Scored:
    """Score whole recordings as `birdwatch run` does; raises DecodeError for a file that is no audio.

    columns: of the recordings' labels. hop_s: None for the model's own.
    """
    scoring = tracked(recordings, len(recordings), "scoring", quiet=quiet)
    found = [analyze(item.path, model, hop_s) for item in scoring]
    return Scored(
        tuple(recordings),
        np.array([item.scores for item in found], np.float32),
        np.array([columns.get(item.label, -1) for item in recordings]),
        np.array([item.duration_s for item in found]),
    )


def interval(
    scored: Scored, metric: Callable[[Scored], float], *, seed: int, rounds: int = ROUNDS
) -> tuple[float, float]:
    """The 95 % interval of a metric over resampled recordists: recordings of one resemble each other, and go together.

    A recording without a recordist counts as one of its own.
    """
    authors = [item.author or item.filename for item in scored.recordings]
    found = group_interval(authors, lambda rows: metric(scored.rows(rows)), seed=seed, rounds=rounds)
    return found.low, found.high


def macro_auc(scored: Scored) -> float:
    """The competition's macro ROC-AUC, over the classes with positives; recordings of other species are negatives."""
    return macro(roc_auc(scored.scores, scored.truth_table))


def first_right(scored: Scored) -> float:
    """The share of recordings whose highest score is their species; a species that the model lacks is a miss."""
    return float(np.mean(scored.scores.argmax(axis=1) == scored.truth))


def figures(scored: Scored, thresholds: npt.NDArray[np.floating], *, seed: int) -> dict[str, Any]:
    """Macro AUC, cmAP and top-1, with 95 % intervals, and recall and precision at thresholds `(classes,)`.

    Recordings have one label each: a second species in one counts as wrong, so precision is a lower bound.
    """
    found = scored.scores >= thresholds
    hits = float((found & scored.truth_table).sum())
    return {
        "recordings": len(scored.recordings),
        "recordists": len({item.author or item.filename for item in scored.recordings}),
        "species": len({item.label for item in scored.recordings}),
        "lacking": len(
            {item.label for item, number in zip(scored.recordings, scored.truth, strict=True) if number < 0}
        ),
        "auc": macro_auc(scored),
        "auc_interval": interval(scored, macro_auc, seed=seed),
        "cmap": macro(average_precision(scored.scores, scored.truth_table)),
        "top1": first_right(scored),
        "top1_interval": interval(scored, first_right, seed=seed),
        "recall": hits / max(len(scored.recordings), 1),
        "precision": hits / max(float(found.sum()), 1.0),
    }


def common_threshold(scored: Scored, *, precision: float) -> float:
    """The lowest score from which all classes together reach `precision` on held-out recordings, at least 0.1."""
    # One for all, since hardly any species has enough recordings for its own threshold.
    chosen = choose_thresholds(
        scored.scores, scored.truth_table, precision=precision, least_positives=len(scored.recordings) + 1
    )
    return max(math.ceil(chosen.common * 1000) / 1000, LEAST_THRESHOLD)


def diagram(scored: Scored) -> Reliability:
    """The reliability of every class's score of every recording, in tenths."""
    return reliability(scored.truth_table, scored.scores)


def alarms(others: Scored, thresholds: npt.NDArray[np.floating], kinds: Mapping[str, str]) -> dict[str, Any]:
    """False alarms on sounds without any of the species: species reported per recording, summed, and per hour; by kind.

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
