"""The third of the published BirdCLEF 2025 notebooks: test soundscapes to submission.csv, with all folds' networks.

    python -m examples.inference birdclef-2025 out

Exports the networks that `examples.training` left in `out/run`, scores each soundscape in windows of 5 s, averages the
networks and smooths over neighbouring rows, here step by step. `birdwatch run --format kaggle` does the same in one
command, resumes, keeps a time budget and reports recordings that cannot be read.
"""

from __future__ import annotations

import csv
from pathlib import Path

import click
import numpy as np

from birdwatch.api import load_model
from birdwatch.audio.file import AUDIO_SUFFIXES, AudioFile
from birdwatch.audio.types import FloatArray
from birdwatch.errors import BirdwatchError, ConfigError
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.scores.blending import blended, smoothed_over_time
from birdwatch.scores.pipeline import WindowStream, windows_of
from export.source import from_checkpoints
from export.verify import Kind
from export.write import write_model

# The weights of a row's neighbour before it, of itself, and of the one after it.
KERNEL = (0.1, 0.8, 0.1)


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.argument("out", type=click.Path(path_type=Path, exists=True))
def main(data: Path, out: Path) -> None:
    """Score DATA/test_soundscapes into OUT/submission.csv."""
    models = [load_model(path) for path in exported(out)]
    manifest = models[0].manifest
    rows: dict[str, FloatArray] = {}
    for path in sorted(item for item in (data / "test_soundscapes").iterdir() if item.suffix.lower() in AUDIO_SUFFIXES):
        scores = smoothed_over_time(blended([score(model, path) for model in models], "mean"), KERNEL)
        rows |= {f"{path.stem}_{(number + 1) * manifest.window_s:g}": row for number, row in enumerate(scores)}
    with (out / "submission.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["row_id", *manifest.codes])
        writer.writerows([name, *(f"{value:.7g}" for value in row.tolist())] for name, row in rows.items())
    print(f"{out / 'submission.csv'}: {len(rows)} rows by {len(models)} networks")


def exported(out: Path) -> list[Path]:
    """An ONNX file for each fold's best checkpoint, exported where there is none yet."""
    checkpoints = sorted((out / "run").glob("fold*/best.pt"))
    if not checkpoints:
        raise ConfigError(f"{out / 'run'} holds no fold*/best.pt; run examples.training first")
    paths = [checkpoint.with_suffix(".onnx") for checkpoint in checkpoints]
    for checkpoint, path in zip(checkpoints, paths, strict=True):
        if not path.exists():
            write_model(from_checkpoints([checkpoint]), path, Kind())
    return paths


def score(model: OnnxClassifier, path: Path) -> FloatArray:
    """Scores `(rows, classes)` of a soundscape: one window a row."""
    audio = AudioFile(path)
    stream = WindowStream(audio.rate_hz, model.manifest, hop_s=model.manifest.window_s)
    return np.stack([window.scores for window in model.score_windows(windows_of(audio.blocks(), stream))])


if __name__ == "__main__":
    try:
        main()
    except BirdwatchError as error:
        raise SystemExit(f"inference: {error}") from None
