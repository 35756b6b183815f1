"""Fixtures that many tests share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray
from tiny_model import write_tiny_model

# Before NumPy's BLAS starts: the tests run side by side already.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Some tests use ONNX Runtime without birdwatch, which turns its telemetry off.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# How long an example takes says more about the machine than about the code.
settings.register_profile("birdwatch", deadline=None)
settings.load_profile("birdwatch")
# `make fuzz` runs the tests marked so with another profile, for long.
settings.register_profile("fuzz", max_examples=int(os.environ.get("FUZZ_EXAMPLES", "20000")), deadline=None)

# A shell that starts us in the background lets SIGINT be ignored, and our children would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

RATE_HZ = 32000


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small self-describing ONNX file."""
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="session")
def song() -> NDArray[np.float32]:
    """Thirteen seconds of synthetic birdsong at 32 kHz: sweeps of several heights over pink-ish noise."""
    rng = np.random.default_rng(3)
    t = np.arange(13 * RATE_HZ) / RATE_HZ
    noise = np.cumsum(rng.normal(0, 1, len(t)))
    audio = 0.02 * rng.normal(0, 1, len(t)) + 0.002 * (noise - np.mean(noise)) / np.std(noise)
    for start_s, low_hz, high_hz in [(0.5, 2000, 6000), (3.0, 7000, 3000), (6.2, 4000, 4100), (9.7, 1200, 9000)]:
        inside = (t >= start_s) & (t < start_s + 0.8)
        phase = t[inside] - start_s
        hz = low_hz + (high_hz - low_hz) * phase / 1.6
        audio[inside] += 0.3 * np.sin(2 * np.pi * hz * phase) * np.sin(np.pi * phase / 0.8)
    return audio.astype(np.float32)


@pytest.fixture(scope="session")
def shared_audio() -> Path:
    """The folder of real recordings beside the project; the tests that need it skip where it is not."""
    folder = Path(os.environ.get("BIRDWATCH_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "audio"
    if not folder.is_dir():
        pytest.skip(f"no real recordings at {folder}; name a folder with BIRDWATCH_SHARED")
    return folder


@pytest.fixture(scope="session")
def shared_cases() -> Path:
    """The folder of small inputs that once failed; the tests that need it skip where it is not."""
    folder = Path(os.environ.get("BIRDWATCH_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "cases"
    if not folder.is_dir():
        pytest.skip(f"no cases at {folder}; name a folder with BIRDWATCH_SHARED")
    return folder
