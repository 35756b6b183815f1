"""What each change of the recipe gains on the miniature competition: one change at a time, with intervals.

    python benchmarks/training_gains.py FOLDER OUT [--seeds 2] [--only NAME]...

FOLDER is laid out as BirdCLEF 2025, with `background/` and `other_birds.csv` (see examples/miniature.py). Each change
is trained with the same seeds, on the same grouped folds. Figures are of the held-out recordings, and of the rows of
the test soundscapes, scored by the folds' mean as a submission is. An interval is the paired bootstrap of the
difference to the base, over recordists and over soundscapes; the differences of the single seeds stand beside it. What
was trained already is not trained again. About 40 minutes of one core.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from birdwatch.evaluation.bootstrap import group_interval
from birdwatch.evaluation.metrics import macro, roc_auc
from birdwatch.scores.blending import Blending
from export.source import from_checkpoints
from export.verify import Kind
from export.write import write_model
from train.run import fit
from train.settings import Settings
from train.student import student
from train.submit import SubmitOptions, write_submission

ROOT = Path(__file__).resolve().parents[1]
# The smallest network of timm on images of 64 x 64: what a core trains in a minute or two.
BASE: Mapping[str, Any] = {
    "arch": "test_efficientnet", "input_pool": 4, "clip": "random", "epochs": 12, "epoch_windows": 400, "lr": 3e-3,
    "schedule": "step", "warmup_epochs": 0.5, "head_prior": 0.05, "drop_path_rate": 0.0, "ema": 0.98, "folds": 3,
    "fold": "all", "select": "last", "workers": 0, "threads": 1, "device": "cpu",
}  # fmt: skip
# Longer windows are fewer, in smaller batches: as much audio in as many steps.
SED: Mapping[str, Any] = {"head": "sed"}
CHANGES: Mapping[str, Mapping[str, Any]] = {
    "soft AUC + 0.25 BCE": {"loss": "soft_auc"},
    "focal BCE": {"loss": "focal"},
    "cross-entropy (softmax)": {"loss": "ce"},
    "label smoothing 0.05": {"label_smoothing": 0.05},
    "classes in equal shares": {"sample_by": "count", "sample_exponent": 0.0},
    "SED head, 5 s": SED,
    "SED head, 10 s": {**SED, "window_s": 10.0, "window_hop_s": 10.0, "epoch_windows": 200, "batch_size": 16},
    "SED head, 20 s": {**SED, "window_s": 20.0, "window_hop_s": 20.0, "epoch_windows": 100, "batch_size": 8},
    "background mixed in": {"background": "background"},
    "pretrained on other species": {"init": "pretrained"},
}
# Each begins from the one before, the first from the base.
ROUNDS = ("student, round 1", "student, round 2")
AFTERWARDS: Mapping[str, Mapping[str, Any]] = {
    "neighbours .2/.6/.2": {"kernel": (0.2, 0.6, 0.2)},
    "overlapping windows, mean": {"overlap": "mean", "hop_s": 2.5},
    "both": {"kernel": (0.2, 0.6, 0.2), "overlap": "mean", "hop_s": 2.5},
}


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores `(rows, classes)` of a change with one seed, in the order of the truth."""

    scores: np.ndarray
    truth: np.ndarray
    groups: Sequence[str]


class Bench:
    """The miniature, and the runs in OUT."""

    def __init__(self, folder: Path, out: Path, seeds: int) -> None:
        self.folder, self.out, self.mini, self.seeds = folder, out, out / "mini", range(1, seeds + 1)
        if not self.mini.exists():
            size = ["--classes", "13", "--most", "40", "--minutes", "20"]
            command = [sys.executable, "-m", "examples.miniature", str(folder), str(self.mini), *size]
            subprocess.run(command, cwd=ROOT, check=True)
        self.truth = {row["row_id"]: row for row in read(self.mini / "truth.csv")}
        self.authors = {row["filename"]: row["author"] for row in read(self.mini / "train.csv")}
        self.codes = [row["primary_label"] for row in read(self.mini / "taxonomy.csv")]

    def settings(self, seed: int, change: Mapping[str, Any], where: Path) -> Settings:
        """The base with a change, for a run in `where`; a cache for each length of the windows."""
        values = dict(BASE) | dict(change) | {"seed": seed, "out": str(where)}
        if values.get("background"):
            values["background"] = str(self.folder / "background")
        if values.get("init"):
            values["init"] = str(self.pretrained(seed))
        values |= {"data": str(self.mini / "train.csv"), "audio_root": str(self.mini / "train_audio")}
        values |= {"taxonomy": str(self.mini / "taxonomy.csv")}
        return Settings(cache=str(self.out / f"mels{values.get('window_s', 5):g}"), **values)

    def pretrained(self, seed: int) -> Path:
        """A checkpoint of the same network, trained on the species that are not in the miniature."""
        table, where = self.out / "others.csv", self.out / f"others{seed}"
        if not table.exists():
            rows = [
                {"primary_label": row["primary_label"], "filename": f"{root}/{row['filename']}"}
                for name, root in (("train.csv", "train_audio"), ("other_birds.csv", "other_birds"))
                for row in read(self.folder / name)
                if row["primary_label"] not in self.codes
            ]
            with table.open("w", newline="") as stream:
                writer = csv.DictWriter(stream, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        values = dict(BASE) | {"fold": "none", "epochs": 20, "seed": seed, "out": str(where)}
        values |= {"data": str(table), "audio_root": str(self.folder), "cache": str(self.out / "mels5")}
        fit(Settings(**values), resume=True, say=click.echo)
        return where / "full" / "best.pt"

    def folder_of(self, name: str, seed: int) -> Path:
        return self.out / f"{name.replace(' ', '_').replace('/', '')}-{seed}"

    def run(self, name: str, seed: int) -> Path:
        """Train a change, or find it trained; its run folder."""
        where = self.folder_of(name, seed)
        if (where / "metrics.json").exists():
            return where
        if name in ROUNDS:
            number = ROUNDS.index(name) + 1
            last = self.run(ROUNDS[number - 2] if number > 1 else "base", seed)
            return student(last, self.mini / "train_soundscapes", where, number, {}, say=click.echo)
        change = {} if name == "base" else CHANGES[name]
        return fit(self.settings(seed, change, where), resume=True, say=click.echo)

    def held_out(self, run: Path) -> Scored:
        """The out-of-fold scores of the recordings; groups: recordists."""
        rows = read(run / "oof.csv")
        truth = [[row["primary_label"] == code for code in self.codes] for row in rows]
        groups = [self.authors[row["filename"]] or row["filename"] for row in rows]
        return Scored(table(rows, self.codes), np.array(truth), groups)

    def soundscapes(self, run: Path, after: Mapping[str, Any]) -> Scored:
        """The rows of the test soundscapes by the mean of the folds; groups: soundscapes."""
        named = "-".join(map(str, after.values())).replace(" ", "")
        model, out = run / "folds.onnx", run / f"submission{named}.csv"
        if not model.exists():
            write_model(from_checkpoints(sorted(run.glob("fold*/best.pt")), ensemble=True), model, Kind())
        blending = Blending(overlap=after.get("overlap", "max"), kernel=after.get("kernel", (1.0,)), row_s=5.0)
        template, audio = self.mini / "sample_submission.csv", self.mini / "test_soundscapes"
        options = SubmitOptions((model,), audio, out, blending, template, hop_s=after.get("hop_s", 5.0))
        if not out.exists():
            write_submission(options, say=lambda _: None)
        rows = {row["row_id"]: row for row in read(out)}
        truth = [[self.truth[name][code] == "1" for code in self.codes] for name in self.truth]
        groups = [name.rpartition("_")[0] for name in self.truth]
        return Scored(table([rows[name] for name in self.truth], self.codes), np.array(truth), groups)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        return list(csv.DictReader(stream))


def table(rows: Sequence[Mapping[str, str]], codes: Sequence[str]) -> np.ndarray:
    return np.array([[float(row[code]) for code in codes] for row in rows])


def auc(scored: Scored, rows: Any = slice(None)) -> float:
    return macro(roc_auc(scored.scores[rows], scored.truth[rows]))


def figures(changed: Sequence[Scored], base: Sequence[Scored]) -> dict[str, Any]:
    """The mean AUC over the seeds, its difference to the base with an interval, and each seed's difference."""

    def gain(rows: Any) -> float:
        return float(np.mean([auc(a, rows) - auc(b, rows) for a, b in zip(changed, base, strict=True)]))

    interval = group_interval(base[0].groups, gain, seed=1)
    return {
        "auc": float(np.mean([auc(one) for one in changed])),
        "gain": gain(slice(None)),
        "interval": [interval.low, interval.high],
        "seeds": [auc(a) - auc(b) for a, b in zip(changed, base, strict=True)],
    }


def line(name: str, *parts: Mapping[str, Any] | None) -> str:
    """A row of the Markdown table; no part: not defined for this change."""
    cells = [name]
    for part in parts:
        if part is None:
            cells += ["", "", ""]
            continue
        low, high = part["interval"]
        seeds = ", ".join(f"{value:+.3f}" for value in part["seeds"])
        cells += [f"{part['auc']:.3f}", f"{part['gain']:+.3f} ({low:+.3f} to {high:+.3f})", seeds]
    return "| " + " | ".join(cells) + " |"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--seeds", default=2, show_default=True, type=click.IntRange(min=1))
@click.option("--only", multiple=True, help="Train only this change; may be repeated.")
def main(folder: Path, out: Path, seeds: int, only: tuple[str, ...]) -> None:
    """Write OUT/gains.json and OUT/gains.md, after each change."""
    bench = Bench(folder.resolve(), out.resolve(), seeds)
    base = {seed: bench.run("base", seed) for seed in bench.seeds}
    recordings = [bench.held_out(run) for run in base.values()]
    rows = [bench.soundscapes(run, {}) for run in base.values()]
    found: dict[str, dict[str, Any]] = {"base": {"recordings": figures(recordings, recordings)}}
    found["base"]["soundscapes"] = figures(rows, rows)

    def wanted(names: Sequence[str]) -> list[str]:
        done = {
            name for name in names if all((bench.folder_of(name, n) / "metrics.json").exists() for n in bench.seeds)
        }
        return [name for name in names if not only or name in only or name in done]

    def show() -> None:
        (out / "gains.json").write_text(json.dumps(found, indent=1) + "\n")
        head = ("change", "recordings", "gain", "by seed", "soundscapes", "gain", "by seed")
        text = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * 6]
        text += [line(name, values.get("recordings"), values["soundscapes"]) for name, values in found.items()]
        (out / "gains.md").write_text("\n".join(text) + "\n")

    for name in wanted(list(AFTERWARDS)):
        after = [bench.soundscapes(run, AFTERWARDS[name]) for run in base.values()]
        found[name] = {"soundscapes": figures(after, rows)}
    for name in wanted([*CHANGES, *ROUNDS]):
        runs = [bench.run(name, seed) for seed in bench.seeds]
        found[name] = {"recordings": figures([bench.held_out(run) for run in runs], recordings)}
        found[name]["soundscapes"] = figures([bench.soundscapes(run, {}) for run in runs], rows)
        show()
    show()
    click.echo((out / "gains.md").read_text("utf-8"))


if __name__ == "__main__":
    main()
