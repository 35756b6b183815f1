import csv
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from birdwatch.model.classifier import OnnxClassifier
from export.source import from_checkpoints
from export.verify import Kind
from export.write import write_model
from train.options import settings_of
from train.recipe import RECIPES
from train.run import fit
from train.settings import Settings


def test_options_go_before_the_file_and_the_file_before_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("epochs = 4\nlr = 1e-3\n")
    settings = settings_of({"lr": 2e-3, "seed": None}, tmp_path / "a.toml", "birdclef2025")
    assert (settings.epochs, settings.lr, settings.split, settings.pretrained) == (4, 2e-3, "stratified", True)


def test_the_recipe_differs_from_the_defaults_in_three_settings() -> None:
    recipe, defaults = asdict(Settings(**RECIPES["birdclef2025"])), asdict(Settings())
    assert {name for name in recipe if recipe[name] != defaults[name]} == {"split", "pretrained", "fold"}


@pytest.mark.slow
def test_264_classes_are_trained_and_exported(quick: Settings, birds: Path, tmp_path: Path) -> None:
    with (birds / "taxonomy.csv").open(encoding="utf-8", newline="") as stream:
        codes = [row["primary_label"] for row in csv.DictReader(stream)]
    codes += [f"species{number:03}" for number in range(264 - len(codes))]
    (tmp_path / "taxonomy.csv").write_text("primary_label\n" + "\n".join(codes) + "\n")
    mine = {"pretrained": False, "arch": quick.arch, "folds": 3, "fold": "0", "epochs": 1, "batch_size": 6}
    settings = replace(
        quick,
        **(dict(RECIPES["birdclef2025"]) | mine),
        taxonomy=str(tmp_path / "taxonomy.csv"),
        cache=str(tmp_path / "mels"),
    )
    out = fit(settings, resume=False, say=lambda _: None, quiet=True)
    source = from_checkpoints([out / "fold0" / "best.pt"])
    written = write_model(source, tmp_path / "model.onnx", Kind())
    classifier = OnnxClassifier(written.path, provider="cpu")
    assert classifier.manifest.codes == tuple(codes)
    assert classifier.score(np.zeros((1, 160000), np.float32)).shape == (1, 264)
