"""From a fold's exported model to its card: evaluate, choose thresholds, count false alarms, write."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from birdwatch.api import load_model
from birdwatch.errors import ConfigError
from birdwatch.evaluation.metrics import roc_auc
from birdwatch.evaluation.thresholds import Thresholds
from birdwatch.model.manifest import Label

from .card import Scored, alarms, figures, held_out, score_all, threshold_figures, unseen_recordists
from .card_text import alarm_table, credits, figure_table, fill, species_table
from .dataset import read_table, read_unlabelled
from .tables import write_json, write_table, write_text

__all__ = ["CardOptions", "write_card"]

# Held-out recordings that a class needs for a threshold of its own.
LEAST_POSITIVES = 8


@dataclass(frozen=True, slots=True)
class CardOptions:
    """The command's options.

    background: a table `filename, sound` of what `background_root` holds, and more. shipped: the model trained on all
    recordings, on which the false alarms are counted; without it the fold's. credit: whom to name first.
    """

    model: Path
    folds: Path
    data: Path
    audio_root: Path
    background: Path
    background_root: Path
    template: Path
    out: Path
    extra_data: Path | None = None
    shipped: Path | None = None
    credit: tuple[str, ...] = ()
    fold: int = 0
    precision: float = 0.9
    hop_s: float = 2.5
    seed: int = 42


def write_card(options: CardOptions, *, say: Callable[[str], None]) -> dict[str, Any]:
    """Write card.md, manifest.json (for `export --manifest`), figures.json and scores.csv into `out`; the figures."""
    model = load_model(options.model, provider="cpu")
    labels = model.manifest.labels
    recordings = read_table(options.data, options.audio_root)
    unknown = sorted({item.label for item in recordings} - set(model.manifest.codes))
    if unknown:
        raise ConfigError(f"{options.model} does not know {len(unknown)} labels of {options.data}: {unknown[:5]}")
    kinds = sound_kinds(options.background)
    template = read_template(options.template)
    judged = held_out(options.folds, options.fold, recordings)
    unseen = unseen_recordists(recordings, judged)
    if not unseen.any():
        raise ConfigError(
            f"fold {options.fold} of {options.folds} holds out no recordings by recordists unseen in training"
        )
    scored = score_all(model, [item for item, use in zip(recordings, judged, strict=True) if use], hop_s=options.hop_s)
    shipped = load_model(options.shipped, provider="cpu") if options.shipped else model
    if shipped.manifest.codes != model.manifest.codes:
        raise ConfigError(f"{options.shipped} has other labels than {options.model}; export both with --keep-labels")
    others = score_all(shipped, read_unlabelled(options.background_root), hop_s=options.hop_s)
    by_others = scored.rows(unseen[judged])

    parts = {"all": by_others} | {name: collection(by_others, name) for name in sources_of(by_others)}
    found = {name: figures(part, seed=options.seed) for name, part in parts.items()}
    chosen, limits = threshold_figures(scored, precision=options.precision, least_positives=LEAST_POSITIVES)
    false = alarms(others, chosen.values, kinds)
    auc = roc_auc(by_others.scores, by_others.truth_table)
    counts = by_others.truth_table.sum(axis=0)
    by_class = {label.code: (int(n), float(a)) for label, n, a in zip(labels, counts, auc, strict=True) if n}

    extra = read_table(options.extra_data, Path()) if options.extra_data else []
    credit = credits([*recordings, *extra])
    summary = {"out_of_fold": found, "thresholds": limits, "false_alarms": false}
    names = {"all": "species and recordist apart from training, all sources"}
    values = {
        "figures": figure_table({names.get(name, f"of these, within {name}"): part for name, part in found.items()}),
        "alarms": alarm_table(false),
        "species": species_table(labels, recordings, chosen, by_class),
        "credits": credit,
        "held_out": str(int(judged.sum())),
    }
    values |= {f"threshold_{name}": shown(value) for name, value in limits.items() if not isinstance(value, list)}
    values |= {f"alarm_{name}": shown(value) for name, value in false.items() if not isinstance(value, dict)}
    values |= {name: shown(value) for name, value in found["all"].items() if not isinstance(value, tuple)}
    write_files(options, summary, fill(template, values), chosen, labels, credit)
    codes = model.manifest.codes
    write_table(options.out / "scores.csv", [*score_rows(scored, codes), *score_rows(others, codes)])
    best = found["all"]
    say(
        f"{options.out / 'card.md'}: macro AUC {best['auc']:.4f}, top-1 {best['top1']:.3f} on {best['recordings']} "
        f"recordings of {best['classes']} species; thresholds give precision {limits['precision']:.2f} and recall "
        f"{limits['recall']:.2f}; {false['alarms_an_hour']:.1f} false alarms an hour"
    )
    return summary


def write_files(
    options: CardOptions,
    summary: dict[str, Any],
    text: str,
    chosen: Thresholds,
    labels: tuple[Label, ...],
    credit: str,
) -> None:
    """card.md, figures.json, and manifest.json for `export --manifest`."""
    options.out.mkdir(parents=True, exist_ok=True)
    write_text(options.out / "card.md", text)
    write_json(options.out / "figures.json", summary)
    write_json(
        options.out / "manifest.json",
        {
            "threshold": chosen.common,
            "thresholds": {
                label.code: float(v) for label, v, own in zip(labels, chosen.values, chosen.own, strict=True) if own
            },
            "attribution": "; ".join([*options.credit, f"recordings by the recordists of xeno-canto.org: {credit}"]),
            "provenance": {"judged": summary["out_of_fold"], "false_alarms": summary["false_alarms"]},
        },
    )


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


def sources_of(scored: Scored) -> list[str]:
    """The collections with at least two of the evaluated species: one species alone has no AUC among others."""
    names = sorted({item.collection for item in scored.recordings if item.collection})
    return [name for name in names if len(set(collection(scored, name).truth.tolist())) > 1]


def collection(scored: Scored, name: str) -> Scored:
    """Only the recordings of one source."""
    return scored.rows(np.array([item.collection == name for item in scored.recordings]))


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
