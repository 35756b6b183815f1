"""Noisy student (Xie et al., 2020), as published by the winners of BirdCLEF 2025: one command per round.

A round: the last round's models score the unlabelled soundscapes; the scores are raised to the round's power; a fresh
network is trained in which every recording is mixed with a pseudo-labelled window. Soundscapes with sure pseudo-labels
are drawn more often, none is dropped by a threshold, and stochastic depth is the noise in the network.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from birdwatch.errors import BirdwatchError, ConfigError

from .device import choose_device
from .ensemble import checkpoints_of, load_ensemble
from .pseudo_label import write_pseudo_labels
from .run import fit
from .settings import Settings, read_toml

__all__ = ["POWERS", "power_of", "round_settings", "rounds_table", "student"]

Say = Callable[[str], None]
# The published powers of rounds 1 to 4: after the first, the scores are sharpened.
POWERS = (1.0, 1.0 / 0.65, 1.0 / 0.55, 1.0 / 0.6)
# The published stochastic depth of the students.
STOCHASTIC_DEPTH = 0.15
# Pseudo-labels below it are not written: 200 classes a window are a table of gigabytes, and these add up to nothing.
LEAST = 0.001


def power_of(number: int) -> float:
    """The power of the pseudo-labels of round `number` (from 1); later rounds use the last one."""
    if number < 1:
        raise ConfigError(f"round is {number}, expected at least 1")
    return POWERS[min(number, len(POWERS)) - 1]


def round_settings(last: Path, changes: Mapping[str, Any], out: Path, pseudo: Path, soundscapes: Path) -> Settings:
    """The settings of a round: the last run's, with the round's own noise, from fresh weights.

    An `init` of the last run is not taken over if it names one of its checkpoints: a student that starts from its
    teacher repeats its mistakes.
    """
    config = last / "config.toml"
    if not config.exists():
        raise ConfigError(f"{last} is not a run folder of `fit`: it has no config.toml")
    before = Settings(**read_toml(config))
    student = replace(
        before, out=str(out), pseudo=str(pseudo), pseudo_root=str(soundscapes), pseudo_prob=1.0,
        drop_path_rate=STOCHASTIC_DEPTH,
    )  # fmt: skip
    settings = replace(student, **changes)
    if settings.init and Path(settings.init).resolve().is_relative_to(last.resolve()):
        raise ConfigError(f"init is {settings.init}, a checkpoint of the last round; students start from new weights")
    return settings


def student(
    last: Path, soundscapes: Path, out: Path, number: int, changes: Mapping[str, Any], *, say: Say, quiet: bool = False
) -> Path:
    """Do round `number` into the run folder `out`; a pseudo-label table that is there already is used again."""
    pseudo = out / "pseudo.csv"
    settings = round_settings(last, changes, out, pseudo, soundscapes)
    power = power_of(number)
    if pseudo.exists():
        say(f"{pseudo} exists and is used")
    else:
        out.mkdir(parents=True, exist_ok=True)
        ensemble = load_ensemble(checkpoints_of(last), choose_device(settings.device))
        rows, faults = write_pseudo_labels(ensemble, soundscapes, pseudo, power=power, least=LEAST, quiet=quiet)
        say(f"{pseudo}: {rows} rows of {len(ensemble.networks)} models, scores to the power {power:.3f}")
        for fault in faults:
            say(f"left out: {fault}")
        if not rows:
            pseudo.unlink()
            raise BirdwatchError(f"no soundscape under {soundscapes} has a score of {LEAST} or more")
    return fit(settings, resume=True, say=say, quiet=quiet)


def rounds_table(runs: Sequence[Path]) -> list[str]:
    """A Markdown table of the out-of-fold figures of several runs, in their order."""
    lines = ["| run | recordings: AUC | 95 % interval | cmAP | top-1 |", "| --- | ---: | ---: | ---: | ---: |"]
    for run in runs:
        try:
            summary = json.loads((run / "metrics.json").read_text("utf-8"))
        except OSError as error:
            raise ConfigError(f"{run} has no metrics.json ({error.strerror}); train its folds first") from None
        found, interval = summary["out_of_fold"], summary["interval"]
        cells = ["-" if found[f"recording_{name}"] is None else f"{found[f'recording_{name}']:.4f}"
                 for name in ("auc", "cmap", "top1")]  # fmt: skip
        between = f"{interval[0]:.4f} to {interval[1]:.4f}" if interval else "-"
        lines.append(f"| {run.name} | {cells[0]} | {between} | {cells[1]} | {cells[2]} |")
    return lines
