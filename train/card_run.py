"""Makes a model card: scores recordings not used in training, chooses the threshold, counts false alarms."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from birdwatch.api import load_model
from birdwatch.errors import ConfigError
from birdwatch.evaluation.calibration import Reliability, expected_calibration_error
from birdwatch.model.classifier import OnnxClassifier

from .card import Scored, alarms, columns_of, common_threshold, diagram, figures, score_all
from .card_text import (
    alarm_table,
    credits,
    figure_table,
    fill,
    reliability_table,
    soundscape_table,
    species_table,
)
from .dataset import read_table, read_unlabelled
from .soundscape_figures import read_placed, soundscape_figures
from .tables import write_json, write_table, write_text
from .teach import read_labels

__all__ = ["CardOptions", "write_card"]


@dataclass(frozen=True, slots=True)
class CardOptions:
    """The command's options.

    trained: table of the recordings in training, for counts and credits. held_out: table of recordings that were never
    trained on, from which the threshold is chosen. outside: table of another collection, only reported. compare: other
    models, scored on the same recordings. background: a table `filename, sound` of some of what `background_root`
    holds. soundscapes: a folder with truth.csv. credit: whom to name first.
    """

    model: Path
    trained: Path
    held_out: Path
    outside: Path
    audio_root: Path
    background: Path
    background_root: Path
    template: Path
    out: Path
    soundscapes: Path | None = None
    compare: tuple[str, ...] = ()
    credit: tuple[str, ...] = ()
    precision: float = 0.9
    hop_s: float = 2.5
    seed: int = 42


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A model, its thresholds `(classes,)`, its scores of both tables, and the figures by table."""

    model: OnnxClassifier
    limits: npt.NDArray[np.floating]
    held_out: Scored
    outside: Scored

    def figures(self, *, seed: int) -> dict[str, dict[str, Any]]:
        """By table."""
        parts = {"held_out": self.held_out, "outside": self.outside}
        return {name: figures(part, self.limits, seed=seed) for name, part in parts.items()}


def write_card(options: CardOptions, *, say: Callable[[str], None]) -> dict[str, Any]:
    """Write card.md, manifest.json (for `export --manifest`), figures.json and scores.csv into `out`; the figures."""
    template = read_template(options.template)
    kinds = sound_kinds(options.background)
    own = evaluated(options, load_model(options.model, provider="cpu"))
    threshold = common_threshold(own.held_out, precision=options.precision)
    own = replace(own, limits=np.full(len(own.model.manifest.labels), threshold))
    parts = {"built-in": own.figures(seed=options.seed)}
    for name in options.compare:
        other = evaluated(options, load_model(name, provider="cpu"))
        parts[other.model.manifest.name] = other.figures(seed=options.seed)
    others = score_all(own.model, read_unlabelled(options.background_root), {}, hop_s=options.hop_s)
    false = alarms(others, own.limits, kinds)
    shapes = {"held out": diagram(own.held_out), "another collection": diagram(own.outside)}
    summary: dict[str, Any] = {
        "threshold": threshold,
        "evaluated": parts,
        "false_alarms": false,
        "calibration_error": {name: expected_calibration_error(shape) for name, shape in shapes.items()},
    }
    if options.soundscapes is not None:
        placed = read_placed(options.soundscapes / "truth.csv")
        summary["soundscapes"] = soundscape_figures(own.model, options.soundscapes, placed, own.limits)
    credit = credits(read_table(options.trained, options.audio_root))
    options.out.mkdir(parents=True, exist_ok=True)
    values = places(options, own, summary, shapes) | {"credits": credit}
    write_text(options.out / "card.md", fill(template, values))
    write_json(options.out / "figures.json", summary)
    write_json(
        options.out / "manifest.json",
        {
            "threshold": threshold,
            "attribution": "; ".join([*options.credit, f"recordings by the recordists of xeno-canto.org: {credit}"]),
            "provenance": {"evaluated": parts["built-in"], "false_alarms": false},
        },
    )
    codes = own.model.manifest.codes
    write_table(options.out / "scores.csv", [*score_rows(own.held_out, codes), *score_rows(own.outside, codes)])
    best = parts["built-in"]["outside"]
    say(
        f"{options.out / 'card.md'}: another collection: macro AUC {best['auc']:.4f}, top-1 {best['top1']:.3f}, recall "
        f"{best['recall']:.2f} at precision {best['precision']:.2f} with threshold {threshold:g}; "
        f"{false['alarms_an_hour']:.1f} false alarms an hour"
    )
    return summary


def evaluated(options: CardOptions, model: OnnxClassifier) -> Evaluated:
    """A model's scores of both tables, by its own thresholds. Raises ConfigError where it has none of the species."""
    labels = model.manifest.labels
    columns = columns_of(read_labels([options.held_out, options.outside]), labels)
    if not columns:
        raise ConfigError(f"{model.path} has none of the species of {options.held_out} and {options.outside}")
    limits = np.array([model.manifest.threshold_of(label.code) for label in labels])
    hop_s = min(options.hop_s, model.manifest.window_s)
    held_out, outside = (
        score_all(model, read_table(table, options.audio_root), columns, hop_s=hop_s)
        for table in (options.held_out, options.outside)
    )
    return Evaluated(model, limits, held_out, outside)


def places(
    options: CardOptions, own: Evaluated, summary: Mapping[str, Any], shapes: Mapping[str, Reliability]
) -> dict[str, str]:
    """The template's places, but for the credits."""
    tables = {"held_out": "held-out recordists", "outside": "another collection"}
    rows = {
        f"{tables[table]}, {name}": part
        for name, found in summary["evaluated"].items()
        for table, part in found.items()
    }
    trained = read_table(options.trained, options.audio_root)
    labels = own.model.manifest.labels
    evaluated_on = {item.label for part in (own.held_out, own.outside) for item in part.recordings}
    trained_on = {item.label for item in trained}
    values = {
        "unevaluated": str(sum(label.code not in evaluated_on for label in labels)),
        "untrained": str(sum(label.code not in trained_on for label in labels)),
        "figures": figure_table(rows),
        "alarms": alarm_table(summary["false_alarms"]),
        "reliability": reliability_table(shapes),
        "species": species_table(labels, trained, own.held_out, own.outside),
        "threshold": shown(summary["threshold"]),
        "precision": shown(options.precision),
        "soundscapes": soundscape_table(summary["soundscapes"]) if "soundscapes" in summary else "(not measured)",
    }
    for name, value in summary["false_alarms"].items():
        if not isinstance(value, dict):
            values[f"alarm_{name}"] = shown(value)
    for name, value in summary["calibration_error"].items():
        values[f"calibration_{name.replace(' ', '_')}"] = f"{value:.4f}"
    for table, part in summary["evaluated"]["built-in"].items():
        values |= {f"{table}_{name}": shown(value) for name, value in part.items() if not isinstance(value, tuple)}
    return values


def sound_kinds(path: Path) -> dict[str, str]:
    """The kind of sound of each file in a table with the columns filename and sound."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return {row["filename"]: row["sound"] for row in csv.DictReader(stream)}
    except OSError as error:
        raise ConfigError(f"no table of sounds {path}: {error.strerror}") from None
    except KeyError as error:
        raise ConfigError(f"{path} lacks the column {error}") from None


def read_template(path: Path) -> str:
    """The card's text with its places."""
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"no template {path}: {error.strerror}") from None


def shown(value: Any) -> str:
    """A number as the card shows it."""
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def score_rows(scored: Scored, codes: tuple[str, ...]) -> list[dict[str, Any]]:
    """A row for each recording: file, label, and the scores of all classes."""
    rows: list[dict[str, Any]] = []
    for item, scores in zip(scored.recordings, scored.scores.tolist(), strict=True):
        head: dict[str, Any] = {"filename": item.filename, "primary_label": item.label, "author": item.author}
        rows.append(head | {code: f"{score:.5f}" for code, score in zip(codes, scores, strict=True)})
    return rows
