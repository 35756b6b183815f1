"""A whole run: data, folds, training of each fold, and the run folder with settings and results."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from birdwatch.errors import ConfigError
from birdwatch.model.frontend import FrontendSpec
from birdwatch.model.manifest import Manifest

from .cache import GRID
from .device import choose_device, require_compiler
from .fit import FoldData, fit_fold
from .folds import Split, split
from .frontend import frontend_of
from .gather import Data, gather
from .report import report
from .reproducible import provenance
from .settings import RUNTIME, Settings, read_toml, to_toml
from .tables import write_json, write_table, write_text
from .tensorboard import require_tensorboard

__all__ = ["fit"]

Say = Callable[[str], None]


def fit(settings: Settings, *, resume: bool, say: Say, quiet: bool = False) -> Path:
    """Train the folds that the settings name into the run folder `out`, and return it.

    Raises ConfigError, before anything is computed, if `out` holds a run and `resume` is not set.
    """
    if not settings.out:
        raise ConfigError("give the run folder with --out")
    out = Path(settings.out)
    wanted = (
        list(range(settings.folds))
        if settings.fold == "all"
        else [-1 if settings.fold == "none" else int(settings.fold)]
    )
    folders = {number: out / ("full" if number < 0 else f"fold{number}") for number in wanted}
    taken = [folder for folder in folders.values() if (folder / "last.pt").exists()]
    if taken and not resume:
        raise ConfigError(f"{taken[0]} holds a run already; continue it with --resume, or choose another --out")
    device = choose_device(settings.device)
    for option in ("compile", "bf16"):
        if getattr(settings, option):
            require_compiler(device, option)
    if settings.tensorboard:
        require_tensorboard()
    spec = frontend_of(settings)
    data = gather(settings, spec, say=say, quiet=quiet)
    extra = tuple(range(len(data.recordings), len(data.sources)))
    later = sum(item.starts - 1 for item in data.sources[: len(data.recordings)]) * GRID * spec.hop_frames
    hours = (later + len(data.recordings) * spec.window_frames) / spec.rate_hz / 3600
    say(
        f"{len(data.recordings)} recordings of {len({r.label for r in data.recordings})} of {len(data.labels)} classes,"
        f" {hours:.2f} h in the cache; {len(extra)} extra, {len(data.backgrounds)} backgrounds, "
        f"{len(data.pseudo)} pseudo-labelled; data {data.fingerprint}"
    )
    parts = split(data.recordings, folds=settings.folds, seed=settings.seed, grouped=settings.split == "grouped")
    for note in parts.notes:
        say(note)
    manifest = make_manifest(settings, data, spec)
    for folder in folders.values():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"the run folder {folder} cannot be made: {error.strerror}") from None
    if resume:
        check_resumable(settings, data, out)
    describe_run(settings, data, parts, out)
    for number, folder in folders.items():
        inside = np.flatnonzero(parts.fold != number).tolist()
        held_out = np.flatnonzero(parts.fold == number).tolist() if number >= 0 else []
        fold = FoldData(number, (*inside, *extra), tuple(held_out))
        fit_fold(settings, data, fold, folder, manifest, resume=resume, say=say)
    if settings.fold == "none":
        say(f"{folders[-1] / 'best.pt'}: trained on everything")
    else:
        report(settings, data, parts, out, say=say)
    return out


def make_manifest(settings: Settings, data: Data, spec: FrontendSpec) -> Manifest:
    """The manifest of the checkpoints, with the thresholds of another run if given."""
    manifest = Manifest(
        settings.name,
        data.labels,
        spec.rate_hz,
        spec.window_frames,
        spec,
        activation="softmax" if settings.loss == "ce" else "sigmoid",
        license=settings.license,
        attribution=settings.attribution,
        provenance={"trained_on": data.fingerprint, "recordings": len(data.recordings), **provenance()},
    )
    if settings.thresholds:
        common, own = read_thresholds(Path(settings.thresholds))
        manifest = replace(manifest, threshold=common, thresholds={c: v for c, v in own.items() if c in data.codes})
    return manifest


def read_thresholds(path: Path) -> tuple[float, dict[str, float]]:
    """The common threshold and the classes' own in a run's `thresholds.json`."""
    try:
        values = json.loads(path.read_text("utf-8"))
        return float(values["common"]), {str(code): float(value) for code, value in values["own"].items()}
    except OSError as error:
        raise ConfigError(f"no thresholds {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f"{path} is not a thresholds.json of a run") from None


def check_resumable(settings: Settings, data: Data, out: Path) -> None:
    """Raise ConfigError where a run folder was made with other settings or data, before its description is replaced."""
    if not (out / "config.toml").exists() or not (out / "run.json").exists():
        return
    was, now = read_toml(out / "config.toml"), asdict(settings)
    changed = [
        f"{name} was {was[name]!r} and is {now[name]!r}"
        for name in sorted((was.keys() & now.keys()) - RUNTIME)
        if was[name] != now[name]
    ]
    noted = json.loads((out / "run.json").read_text("utf-8")).get("data")
    if noted != data.fingerprint:
        changed.append(f"the data were {noted} and are {data.fingerprint}")
    if changed:
        raise ConfigError(
            f"{out} cannot be resumed: {'; '.join(changed)}. Use the same as before (--out {out} --resume alone does), "
            "or another --out"
        )


def describe_run(settings: Settings, data: Data, parts: Split, out: Path) -> None:
    """The run folder's config.toml, run.json and folds.csv."""
    write_text(out / "config.toml", to_toml(settings))
    write_json(out / "run.json", {"data": data.fingerprint, "notes": parts.notes, **provenance()})
    write_table(
        out / "folds.csv",
        [
            {
                "filename": r.filename,
                "primary_label": r.label,
                "author": r.author,
                "collection": r.collection,
                "fold": int(f),
            }
            for r, f in zip(data.recordings, parts.fold, strict=True)
        ],
    )
