"""The parts of `train vary`: the windows of a teacher, a stretch of a recording, a label from the recordist alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_model import write_tiny_model

from birdwatch.api import load_model
from birdwatch.model.frontend import FrontendSpec
from train.soft_labels import Spans
from train.vary_run import TeacherWindows, floor_of, read_part
from train.windows import Source

SPEC = FrontendSpec()


@pytest.mark.parametrize(("window_s", "windows", "hop_s"), [(3.0, 2, 2.0), (5.0, 1, 5.0), (1.0, 5, 1.0), (2.0, 3, 1.5)])
def test_the_windows_of_a_teacher_cover_the_sound(tmp_path: Path, window_s: float, windows: int, hop_s: float) -> None:
    path = write_tiny_model(
        tmp_path / "t.onnx",
        rate_hz=32000,
        window_frames=round(window_s * 32000),
        input="waveform",
        frontend=None,
        embedding_output="centred",
    )
    teacher_windows = TeacherWindows.of(load_model(path), SPEC)
    assert (teacher_windows.windows, teacher_windows.hop_s) == (windows, pytest.approx(hop_s))
    embeddings = list(teacher_windows.embed(iter([np.ones(SPEC.window_frames, np.float32)] * 3)))
    assert [one.shape for one in embeddings] == [(windows, 16)] * 3


def test_a_part_of_a_recording_is_read_where_it_is(tmp_path: Path) -> None:
    ramp = (np.arange(3 * 8000) / (3 * 8000)).astype(np.float32)
    soundfile.write(tmp_path / "ramp.wav", np.stack([ramp, 0 * ramp], axis=1), 8000, subtype="FLOAT")
    source = Source(Path(), "ramp.wav", 1, audio=tmp_path / "ramp.wav")
    samples, rate_hz = read_part(source, 1.0, 0.5)
    assert rate_hz == 8000
    np.testing.assert_allclose(samples, ramp[8000:12000] / 2)
    late, _ = read_part(source, 2.9, 0.5)
    np.testing.assert_allclose(late, ramp[-4000:] / 2, err_msg="the last half second that there is")
    repeated, _ = read_part(source, 0.0, 5.0)
    np.testing.assert_allclose(repeated, np.resize(ramp / 2, 40000))


def test_a_label_from_the_recordist_alone_is_the_same_everywhere() -> None:
    spans = Spans(np.arange(3.0), np.arange(3.0) + 3, np.array([1, 1, 1]), np.array([0.6, 0.6, 0.6], np.float32))
    source = Source(Path(), "a.ogg", 1, (1,), spans=spans)
    assert floor_of(source) == pytest.approx(0.6)
    assert floor_of(replace(source, spans=replace(spans, score=np.array([0.6, 0.2, 0.6], np.float32)))) == 0.0
    assert floor_of(replace(source, labels=(0,))) == 0.0
    assert floor_of(replace(source, spans=None)) == 0.0
