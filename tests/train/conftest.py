"""A tiny data set in the competition's layout, synthesised: three species that whistle at different heights."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_model import write_tiny_model

from birdwatch.model.manifest import Label
from train.settings import Settings

RATE_HZ = 32000
SPECIES = {"lowbird": 1500.0, "midbird": 4000.0, "highbird": 9000.0}


def write_recording(path: Path, hz: float | None, duration_s: float, seed: int) -> None:
    """Noise, and a whistle at `hz` every second."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    samples = 0.01 * rng.standard_normal(len(t))
    if hz is not None:
        samples += 0.3 * np.sin(2 * np.pi * hz * (1 + 0.02 * rng.random()) * t) * ((t + rng.random()) % 1.0 < 0.4)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples.astype(np.float32), RATE_HZ)


@pytest.fixture(scope="session")
def birds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train.csv, taxonomy.csv, train_audio/ (18 recordings of 3 species by 3 recordists each), background/, other/."""
    root = tmp_path_factory.mktemp("birds")
    rows = []
    for number, (code, hz) in enumerate(SPECIES.items()):
        for take in range(6):
            filename = f"{code}/XC{number}{take}.wav"
            write_recording(root / "train_audio" / filename, hz, (3.0, 5.3, 7.1)[take % 3], 10 * number + take)
            rows.append(
                {
                    "primary_label": code,
                    "secondary_labels": "['highbird']" if filename == "lowbird/XC00.wav" else "[]",
                    "filename": filename,
                    "author": f"recordist {number}{take // 2}",
                    "collection": "tapes" if take < 3 else "discs",
                }
            )
    with (root / "train.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    lines = ["primary_label,scientific_name,common_name", *[f"{code},Avis {code},{code.title()}" for code in SPECIES]]
    (root / "taxonomy.csv").write_text("\n".join(lines) + "\n", "utf-8")
    for seed in range(2):
        write_recording(root / "background" / f"rain{seed}.wav", None, 6.0, 100 + seed)
    write_recording(root / "other" / "crow.wav", 600.0, 6.0, 200)
    return root


@pytest.fixture(scope="session")
def mels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mel cache of whole recordings that the tests of a process share."""
    return tmp_path_factory.mktemp("mels") / "cache"


@pytest.fixture
def quick(birds: Path, mels: Path, tmp_path: Path) -> Settings:
    """Settings that train on the tiny data set in a second: a tiny EfficientNet, images of 64 x 64, one process."""
    return Settings(
        data=str(birds / "train.csv"),
        audio_root=str(birds / "train_audio"),
        taxonomy=str(birds / "taxonomy.csv"),
        cache=str(mels),
        out=str(tmp_path / "run"),
        clip="random",
        arch="test_efficientnet",
        input_pool=4,
        folds=3,
        epochs=2,
        batch_size=6,
        workers=0,
        threads=1,
        device="cpu",
    )


@pytest.fixture(scope="session")
def teacher_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher of 3 s at 24 kHz, with embeddings of 16 numbers, that knows all three birds."""
    path = tmp_path_factory.mktemp("teacher") / "teacher.onnx"
    return write_tiny_model(
        path,
        labels=tuple(Label(code, f"Avis {code}") for code in SPECIES),
        rate_hz=24000,
        window_frames=72000,
        input="waveform",
        frontend=None,
        embedding_output="centred",
    )
