"""The built-in model: whole, described, small enough, itself on this machine, and right about real birds."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from birdwatch.api import analyze, load_model
from birdwatch.model.builtin import built_in_model
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.probe import replay_probe


@pytest.fixture(scope="module")
def model() -> OnnxClassifier:
    return load_model(provider="cpu")


@pytest.fixture(scope="module")
def card() -> str:
    return built_in_model().with_suffix(".md").read_text("utf-8")


def test_it_is_small_described_and_gives_its_own_answers(model: OnnxClassifier) -> None:
    assert built_in_model().stat().st_size < 20_000_000
    manifest = model.manifest
    assert len(manifest.labels) == 647
    assert all(label.scientific_name and label.common_name for label in manifest.labels)
    assert manifest.license == "CC-BY-NC-SA-4.0"
    assert "xeno-canto" in manifest.attribution
    assert replay_probe(model).passed


def test_the_card_lists_the_species_threshold_and_figures_of_the_file(model: OnnxClassifier, card: str) -> None:
    rows = {
        cells[0]: cells for cells in (line.strip("| ").split(" | ") for line in card.splitlines()) if len(cells) == 7
    }
    for label in model.manifest.labels:
        assert rows[label.code][1:3] == [label.common_name, label.scientific_name]
    assert f"its score reaches {model.manifest.threshold:g}," in card
    assert not model.manifest.thresholds
    for part in model.manifest.provenance["evaluated"].values():
        assert f"| {part['auc']:.3f} (" in card
        assert f"| {part['top1']:.2f} (" in card
    assert "{{" not in card


@pytest.mark.parametrize("level", [0.0, 1e-4, 0.5])
def test_silence_and_noise_are_no_birds(model: OnnxClassifier, level: float) -> None:
    samples = (np.random.default_rng(2).normal(0.0, 0.3, (2, model.manifest.window_frames)) * level).astype(np.float32)
    limits = np.array([model.manifest.threshold_of(code) for code in model.manifest.codes])
    assert not (model.score(samples) >= limits).any()


@pytest.mark.slow
def test_it_knows_real_recordings_of_most_species(model: OnnxClassifier, shared_audio: Path) -> None:
    # One recording a species; these were trained on, so this says that nothing is broken, not how good the model is.
    first: dict[str, str] = {}
    with (shared_audio / "train.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            if float(row["duration_s"]) < 60:
                first.setdefault(row["primary_label"], row["filename"])
    codes = model.manifest.codes
    right = [
        codes[int(analyze(shared_audio / "train_audio" / name, model).scores.argmax())] == code
        for code, name in sorted(first.items())[::4]
    ]
    assert np.mean(right) > 0.9


def test_the_card_names_the_licence_and_the_way_to_make_it_again(card: str) -> None:
    assert "CC BY-NC-SA 4.0" in card
    assert "make model" in card
    assert re.search(r"BirdNET", card)
