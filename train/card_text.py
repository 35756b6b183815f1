"""A card's tables in Markdown, put into a template's `{{places}}`."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from birdwatch.errors import ConfigError
from birdwatch.evaluation.thresholds import Thresholds
from birdwatch.model.manifest import Label

from .dataset import Recording

__all__ = ["alarm_table", "credits", "figure_table", "fill", "species_table"]


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with every `{{name}}` replaced; raises ConfigError for a name that there is no value for."""
    unknown = sorted(set(re.findall(r"\{\{(\w+)\}\}", template)) - set(values))
    if unknown:
        raise ConfigError(f"the card's template has places without a value: {unknown}; known are {sorted(values)}")
    return re.sub(r"\{\{(\w+)\}\}", lambda place: values[place[1]], template)


def figure_table(parts: Mapping[str, Mapping[str, Any]]) -> str:
    """One row for each part of the held-out recordings: how many, macro AUC, cmAP, top-1, with their intervals."""
    lines = [
        "| evaluated on | recordings | recordists | species | macro ROC-AUC (95 %) | cmAP | top-1 (95 %) |",
        "| --- | ---: | ---: | ---: | --- | ---: | --- |",
    ]
    for name, part in parts.items():
        auc, top = part["auc_interval"], part["top1_interval"]
        lines.append(
            f"| {name} | {part['recordings']} | {part['recordists']} | {part['classes']} "
            f"| {part['auc']:.3f} ({auc[0]:.3f} to {auc[1]:.3f}) | {part['cmap']:.3f} "
            f"| {part['top1']:.2f} ({top[0]:.2f} to {top[1]:.2f}) |"
        )
    return "\n".join(lines)


def alarm_table(found: Mapping[str, Any]) -> str:
    """One row for each kind of sound: clips, and species that were wrongly reported in them."""
    lines = ["| sound | recordings | minutes | species reported |", "| --- | ---: | ---: | ---: |"]
    lines += [
        f"| {kind} | {row['recordings']} | {row['minutes']:.1f} | {row['alarms']} |"
        for kind, row in found["kinds"].items()
    ]
    return "\n".join(lines)


def species_table(
    labels: Sequence[Label],
    recordings: Sequence[Recording],
    thresholds: Thresholds,
    judged: Mapping[str, tuple[int, float]],
) -> str:
    """One row per species: names, recordings and recordists in training, threshold, and its AUC where it was judged.

    judged: of a code, how many recordings by other recordists were held out, and the AUC on them.
    """
    authors: dict[str, set[str]] = defaultdict(set)
    for item in recordings:
        authors[item.label].add(item.author)
    count = Counter(item.label for item in recordings)
    lines = [
        "| code | species | scientific name | recordings | recordists | threshold | judged on | AUC |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for label, limit in zip(labels, thresholds.values.tolist(), strict=True):
        number, auc = judged.get(label.code, (0, float("nan")))
        lines.append(
            f"| {label.code} | {label.common_name} | {label.scientific_name} | {count[label.code]} "
            f"| {len(authors[label.code])} | {limit:.2f} | {number or '-'} | {'-' if np.isnan(auc) else f'{auc:.3f}'} |"
        )
    return "\n".join(lines)


def credits(recordings: Sequence[Recording]) -> str:
    """The recordists by name, with how many recordings each, most first; those without a name are counted."""
    count = Counter(item.author or "(not named)" for item in recordings)
    return ", ".join(f"{name} ({number})" for name, number in sorted(count.items(), key=lambda x: (-x[1], x[0])))
