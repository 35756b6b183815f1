"""The second of the published BirdCLEF 2025 notebooks: five EfficientNetB0s by stratified cross-validation.

    python -m examples.training birdclef-2025 out

`out/run/report.md` says how good they are. The notebook's settings are the recipe `birdclef2025`; below is only what it
does not say. `python -m train fit --recipe birdclef2025 ...` does the same from the command line, with every other
setting as an option.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from birdwatch.errors import BirdwatchError
from train.recipe import RECIPES
from train.run import fit
from train.settings import Settings

# The notebook's CFG.debug: two epochs of one fold, without weights from the network.
DEBUG: dict[str, Any] = {"epochs": 2, "fold": "0", "pretrained": False}


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--debug", is_flag=True, help="Two epochs of one fold, from random weights.")
@click.option("--arch", default=RECIPES["birdclef2025"]["arch"], show_default=True, help="timm's name of the network.")
@click.option("--folds", default=RECIPES["birdclef2025"]["folds"], show_default=True, help="Networks to train.")
def main(data: Path, out: Path, debug: bool, arch: str, folds: int) -> None:
    """Train on DATA, laid out as Kaggle ships BirdCLEF 2025, into OUT/run; it resumes if it was interrupted."""
    changes = {"arch": arch, "folds": folds} | (DEBUG if debug else {})
    settings = Settings(
        data=str(data / "train.csv"),
        audio_root=str(data / "train_audio"),
        taxonomy=str(data / "taxonomy.csv"),
        cache=str(out / "mels"),
        out=str(out / "run"),
        **{**RECIPES["birdclef2025"], **changes},
    )
    fit(settings, resume=True, say=lambda line: print(line, flush=True))


if __name__ == "__main__":
    try:
        main()
    except BirdwatchError as error:
        raise SystemExit(f"training: {error}") from None
