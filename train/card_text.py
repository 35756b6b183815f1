"""A card's tables in Markdown, put into a template's `{{places}}`."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from birdwatch.errors import ConfigError
from birdwatch.evaluation.calibration import Reliability
from birdwatch.model.manifest import Label

from .card import Scored
from .dataset import Recording

__all__ = [
    "alarm_table",
    "credits",
    "figure_table",
    "fill",
    "reliability_table",
    "soundscape_table",
    "species_table",
]


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with every `{{name}}` replaced; raises ConfigError for a name that there is no value for."""
    unknown = sorted(set(re.findall(r"\{\{(\w+)\}\}", template)) - set(values))
    if unknown:
        raise ConfigError(f"the card's template has places without a value: {unknown}; known are {sorted(values)}")
    return re.sub(r"\{\{(\w+)\}\}", lambda place: values[place[1]], template)


def figure_table(parts: Mapping[str, Mapping[str, Any]]) -> str:
    """One row per table and model: how many recordings, macro AUC and top-1 with intervals, recall and precision."""
    heads = ["evaluated on, model", "recordings", "recordists", "species", "of them lacking", "macro ROC-AUC (95 %)"]
    heads += ["top-1 (95 %)", "recall", "precision"]
    lines = ["| " + " | ".join(heads) + " |", "| --- | ---: | ---: | ---: | ---: | --- | --- | ---: | ---: |"]
    for name, part in parts.items():
        auc, top = part["auc_interval"], part["top1_interval"]
        lines.append(
            f"| {name} | {part['recordings']} | {part['recordists']} | {part['species']} | {part['lacking']} "
            f"| {part['auc']:.3f} ({auc[0]:.3f} to {auc[1]:.3f}) | {part['top1']:.2f} ({top[0]:.2f} to {top[1]:.2f}) "
            f"| {part['recall']:.2f} | {part['precision']:.2f} |"
        )
    return "\n".join(lines)


def reliability_table(shapes: Mapping[str, Reliability]) -> str:
    """One row per tenth of the score: forecasts and the share that came true, for each table."""
    names = list(shapes)
    lines = [
        "| score | " + " | ".join(f"{name}: scores | fraction correct" for name in names) + " |",
        "| --- |" + " ---: | ---: |" * len(names),
    ]
    edges = shapes[names[0]].edges
    for number, (low, high) in enumerate(pairwise(edges.tolist())):
        cells = [
            f"{shape.count[number]} | {'-' if not shape.count[number] else f'{shape.observed[number]:.3f}'}"
            for shape in shapes.values()
        ]
        lines.append(f"| {low:.1f} to {high:.1f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def soundscape_table(found: Mapping[str, Any]) -> str:
    """One row per level over the background: birds, and the share of them that is detected."""
    lines = ["| level over the background | birds | detected |", "| --- | ---: | ---: |"]
    lines += [
        f"| {row['from_db']:g} to {row['to_db']:g} dB | {row['birds']} | {row['recall']:.2f} |"
        for row in found["levels"]
    ]
    whole = f"all, {found['hours']:.2f} h; precision {found['precision']:.2f}"
    lines.append(f"| {whole} | {found['birds']} | {found['recall']:.2f} |")
    return "\n".join(lines)


def alarm_table(found: Mapping[str, Any]) -> str:
    """One row for each kind of sound: clips, and species that were wrongly reported in them."""
    lines = ["| sound | recordings | minutes | species reported |", "| --- | ---: | ---: | ---: |"]
    lines += [
        f"| {kind} | {row['recordings']} | {row['minutes']:.1f} | {row['alarms']} |"
        for kind, row in found["kinds"].items()
    ]
    return "\n".join(lines)


def species_table(labels: Sequence[Label], trained: Sequence[Recording], *evaluated: Scored) -> str:
    """One row per species: names, recordings and recordists in training, and of those evaluated how many are right.

    A recording is right where its species has the highest score; "-" where no recording of the species was evaluated.
    """
    authors: dict[str, set[str]] = defaultdict(set)
    for item in trained:
        authors[item.label].add(item.author)
    count = Counter(item.label for item in trained)
    seen: Counter[int] = Counter()
    right: Counter[int] = Counter()
    for scored in evaluated:
        seen.update(scored.truth.tolist())
        right.update(scored.truth[scored.scores.argmax(axis=1) == scored.truth].tolist())
    lines = [
        "| code | species | scientific name | recordings | recordists | evaluated on | right |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for number, label in enumerate(labels):
        tested = seen[number]
        lines.append(
            f"| {label.code} | {label.common_name} | {label.scientific_name} | {count[label.code]} "
            f"| {len(authors[label.code])} | {tested or '-'} | {right[number] if tested else '-'} |"
        )
    return "\n".join(lines)


def credits(recordings: Sequence[Recording]) -> str:
    """The recordists by name, with how many recordings each, most first; those without a name are counted."""
    count = Counter(item.author or "(not named)" for item in recordings)
    return ", ".join(f"{name} ({number})" for name, number in sorted(count.items(), key=lambda x: (-x[1], x[0])))
