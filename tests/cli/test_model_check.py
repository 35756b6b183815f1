from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from tiny_model import write_tiny_model

from birdwatch.cli.model import model
from birdwatch.errors import ModelError
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.probe import Probe, probe_clips


def with_probe(path: Path, shift: float) -> Path:
    """The tiny model with a probe of its own scores, moved by `shift`."""
    clips = probe_clips(160000)
    scores = OnnxClassifier(write_tiny_model(path), provider="cpu").score(clips)
    assert np.ptp(scores) > 0.1
    moved = np.clip(scores + np.float32(shift), 0, 1)
    probe = Probe.of_scores(moved, clips, tolerance=1e-3, tolerance_log_odds=0.05)
    return write_tiny_model(path, probe=probe.to_manifest())


def test_own_answer_passes(tmp_path: Path) -> None:
    told = CliRunner().invoke(model, ["check", str(with_probe(tmp_path / "tiny.onnx", 0.0)), "--provider", "cpu"])
    assert told.exit_code == 0, told.exception
    assert told.stdout.startswith("tiny: the same scores for 4 clips on CPUExecutionProvider, onnxruntime ")


def test_another_answer_fails_and_says_by_how_much(tmp_path: Path) -> None:
    told = CliRunner().invoke(model, ["check", str(with_probe(tmp_path / "tiny.onnx", 0.01)), "--provider", "cpu"])
    assert told.exit_code == 1
    assert isinstance(told.exception, ModelError)
    for part in ("gives other scores here", "within 1.0e-02 (allowed 0.001)", "on CPUExecutionProvider"):
        assert part in str(told.exception)


def test_a_model_without_a_probe_cannot_be_checked(tiny_model: Path) -> None:
    told = CliRunner().invoke(model, ["check", str(tiny_model)])
    with pytest.raises(ModelError, match="tiny has no probe"):
        raise told.exception or AssertionError
