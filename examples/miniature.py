"""A miniature competition from labelled recordings, to try every command of docs/training.md on a small machine.

    python -m examples.miniature FOLDER OUT

FOLDER is laid out as BirdCLEF 2025 and has `background/` with other sounds. OUT gets the same layout: train.csv,
taxonomy.csv and train_audio of the commonest classes, soundscapes made of recordings by other recordists (unlabelled
ones to learn from, and of different recordings those to test on), sample_submission.csv, and the truth of the test
soundscapes, by rows (truth.csv) and by onset and offset (times.csv).
"""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import soundfile
import soxr

from birdwatch.audio.file import AudioFile
from birdwatch.audio.types import FloatArray

RATE_HZ = 32000
ROW_S = 5.0
# A bird begins about every so many seconds, for at most so long, at this level over the background.
PAUSE_S, LONGEST_S, LEVELS_DB = 6.0, 6.0, (0.0, 15.0)
BACKGROUND_RMS = 0.01


@dataclass(frozen=True, slots=True)
class Placed:
    """A recording in a soundscape, in seconds."""

    soundscape: str
    start_s: float
    end_s: float
    label: str


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--classes", default=8, show_default=True, help="The commonest ones.")
@click.option("--most", default=10, show_default=True, help="Recordings of a class in training.")
@click.option("--minutes", default=5, show_default=True, help="Soundscapes of a minute, of either kind.")
@click.option("--seed", default=1, show_default=True)
def main(folder: Path, out: Path, classes: int, most: int, minutes: int, seed: int) -> None:
    """Write the miniature of the competition in FOLDER to OUT."""
    rows = read(folder / "train.csv")
    counts = Counter(row["primary_label"] for row in rows)
    chosen = sorted(label for label, _ in counts.most_common(classes))
    parts = [kept_aside([row for row in rows if row["primary_label"] == label]) for label in chosen]
    inside = [row for _, others in parts for row in others[:most]]
    out.mkdir(parents=True, exist_ok=True)
    for row in inside:
        target = out / "train_audio" / row["filename"]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / "train_audio" / row["filename"], target)
    write(out / "train.csv", inside)
    write(out / "taxonomy.csv", [row for row in read(folder / "taxonomy.csv") if row["primary_label"] in chosen])
    # Of the recordings kept aside, every second one is for the soundscapes to learn from.
    aside = [[row for kept, _ in parts for row in kept[:most][first::2] or kept[:1]] for first in (1, 0)]
    sounds = [mono(path) for path in sorted((folder / "background").iterdir())[:40]]
    placed: list[Placed] = []
    for number, kind in enumerate(("train_soundscapes", "test_soundscapes")):
        clips = [(row["primary_label"], mono(folder / "train_audio" / row["filename"])) for row in aside[number]]
        (out / kind).mkdir(exist_ok=True)
        for minute in range(minutes):
            rng = np.random.default_rng((seed, number, minute))
            name = f"{kind.split('_')[0]}_{minute:02}"
            samples, here = soundscape(rng, name, clips, sounds)
            soundfile.write(out / kind / f"{name}.flac", samples, RATE_HZ)
            placed += here if kind == "test_soundscapes" else []
    write_truth(out, chosen, placed, minutes)
    print(f"{out}: {len(inside)} recordings of {len(chosen)} classes, {minutes} minutes of soundscapes of either kind")


def kept_aside(rows: Sequence[dict[str, str]]) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """A class's recordings for the soundscapes, about a third, and the others, in their order.

    All of one recordist are on one side, as far as there is another one.
    """
    recordist = [row.get("author") or row["filename"] for row in rows]
    found = Counter(recordist)
    aside: set[str] = set()
    # The least prolific first, so that the third is met closely; the last one stays for training.
    for name in sorted(found, key=lambda name: (found[name], name))[:-1]:
        if sum(found[other] for other in aside) < len(rows) / 3:
            aside.add(name)
    # A class of one recordist is split by recording.
    kept = [row for row, name in zip(rows, recordist, strict=True) if name in aside] or list(rows[::3])
    return kept, [row for row in rows if row not in kept]


def soundscape(
    rng: np.random.Generator, name: str, clips: Sequence[tuple[str, FloatArray]], sounds: Sequence[FloatArray]
) -> tuple[FloatArray, list[Placed]]:
    """A minute `(n,)` of other sounds at one level with birds over them, and where these are."""
    parts = [sounds[int(i)] for i in rng.integers(len(sounds), size=20)]
    samples = np.concatenate([part * np.float32(BACKGROUND_RMS / (rms(part) + 1e-9)) for part in parts])[: 60 * RATE_HZ]
    placed = []
    start_s = rng.exponential(PAUSE_S)
    while start_s < 60.0 - LONGEST_S:
        label, clip = clips[int(rng.integers(len(clips)))]
        clip = clip[: round(LONGEST_S * RATE_HZ)]
        gain = BACKGROUND_RMS / (rms(clip) + 1e-9) * 10.0 ** (rng.uniform(*LEVELS_DB) / 20.0)
        first = round(start_s * RATE_HZ)
        samples[first : first + len(clip)] += np.float32(gain) * clip
        placed.append(Placed(name, first / RATE_HZ, (first + len(clip)) / RATE_HZ, label))
        start_s += rng.exponential(PAUSE_S)
    return np.clip(samples, -1.0, 1.0).astype(np.float32), placed


def write_truth(out: Path, labels: Sequence[str], placed: Sequence[Placed], minutes: int) -> None:
    """sample_submission.csv, truth.csv by rows and times.csv by onset and offset."""
    names = [f"test_{minute:02}" for minute in range(minutes)]
    rows, empty = [], []
    for name in names:
        for end_s in np.arange(ROW_S, 60.0 + ROW_S, ROW_S):
            present = {
                item.label
                for item in placed
                if item.soundscape == name and min(item.end_s, end_s) - max(item.start_s, end_s - ROW_S) >= 0.25
            }
            rows.append({"row_id": f"{name}_{end_s:g}"} | {label: str(int(label in present)) for label in labels})
            empty.append({"row_id": f"{name}_{end_s:g}"} | {label: f"{1 / len(labels):g}" for label in labels})
    write(out / "truth.csv", rows)
    write(out / "sample_submission.csv", empty)
    times = [
        {"filename": f"{p.soundscape}.flac", "start_s": f"{p.start_s:.3f}", "end_s": f"{p.end_s:.3f}", "label": p.label}
        for p in placed
    ]
    write(out / "times.csv", times)


def mono(path: Path) -> FloatArray:
    """A whole recording `(n,)` at 32 kHz."""
    audio = AudioFile(path)
    samples = np.concatenate([block.samples for block in audio.blocks()])
    return samples if audio.rate_hz == RATE_HZ else np.asarray(soxr.resample(samples, audio.rate_hz, RATE_HZ))


def rms(samples: FloatArray) -> float:
    """The root mean square of samples `(n,)`."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a csv."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def write(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """Rows with equal columns as csv."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
