from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import reference
from tiny_model import LABELS, manifest, write_tiny_model

from birdwatch.audio.types import Window
from birdwatch.errors import InferenceError, ModelError
from birdwatch.model.classifier import OnnxClassifier, cuda_fault
from birdwatch.model.manifest import METADATA_KEY

WINDOW = 160000


def windows_of(song: np.ndarray) -> list[Window]:
    return [Window(song[start : start + WINDOW], start, WINDOW) for start in range(0, len(song) - WINDOW, 8000)]


@pytest.mark.slow
def test_scores_equal_an_independent_pipeline(tiny_model, song):
    classifier = OnnxClassifier(tiny_model, provider="cpu")
    samples = np.stack([window.samples for window in windows_of(song)])
    expected = reference.score_windows(tiny_model, list(samples))
    assert expected.std() > 0.05  # scores that are all alike would prove nothing
    np.testing.assert_allclose(classifier.score(samples), expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 1), (3, 2), (64, 1)])
def test_windows_come_back_in_order_whatever_the_batch_and_the_workers(tiny_model, song, batch_size, workers):
    windows = windows_of(song)
    classifier = OnnxClassifier(tiny_model, provider="cpu", batch_size=batch_size, workers=workers)
    got = list(classifier.score_windows(iter(windows)))
    assert [w.start_frame for w in got] == [w.start_frame for w in windows]
    alone = np.concatenate([classifier.score(window.samples[None]) for window in windows])
    np.testing.assert_array_equal(np.stack([w.scores for w in got]), alone)


def test_a_stream_without_windows_has_no_scores(tiny_model):
    assert list(OnnxClassifier(tiny_model, provider="cpu").score_windows([])) == []


def test_only_a_few_windows_are_taken_ahead(tiny_model, song):
    windows = windows_of(song)
    taken = 0

    def counted():
        nonlocal taken
        for window in windows:
            taken += 1
            yield window

    scores = OnnxClassifier(tiny_model, provider="cpu", batch_size=1, workers=2).score_windows(counted())
    next(scores)
    assert taken <= 6 < len(windows)


def test_a_waveform_model_takes_samples_as_they_are(tmp_path, song):
    path = write_tiny_model(tmp_path / "wave.onnx", input="waveform", frontend=None)
    classifier = OnnxClassifier(path, provider="cpu")
    samples = song[None, :WINDOW]
    bands = (samples.astype(np.float64) ** 2).reshape(1, 16, -1).mean(axis=2)
    weights = onnx.numpy_helper.to_array(onnx.load(path).graph.initializer[0])
    expected = 1 / (1 + np.exp(-(bands - bands.mean()) @ weights))
    np.testing.assert_allclose(classifier.score(samples), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("activation", ["none", "softmax"])
def test_the_manifest_says_the_activation(tmp_path, song, activation):
    path = write_tiny_model(tmp_path / "m.onnx", activation=activation)
    samples = song[None, :WINDOW]
    logits = np.log(1 / (1 / reference.score_windows(path, list(samples)).astype(np.float64) - 1))
    expected = logits if activation == "none" else np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(OnnxClassifier(path, provider="cpu").score(samples), expected, rtol=1e-3, atol=1e-3)


def test_large_logits_saturate_without_a_warning(tmp_path):
    from birdwatch.model.activation import activated

    raw = np.array([[-1e30, -100.0, 0.0, 100.0, 1e30]], np.float32)
    np.testing.assert_allclose(activated(raw, "sigmoid"), [[0, 0, 0.5, 1, 1]], atol=1e-7)


def test_audio_that_is_not_finite_is_never_scored(tmp_path, tiny_model):
    bad = np.full((1, WINDOW), np.nan, np.float32)
    for path in (tiny_model, write_tiny_model(tmp_path / "wave.onnx", input="waveform", frontend=None)):
        with pytest.raises(ValueError, match="NaN or infinity"):
            OnnxClassifier(path, provider="cpu").score(bad)


def test_a_network_that_answers_nan_is_an_error(tmp_path, song):
    path = write_tiny_model(tmp_path / "nan.onnx")
    model = onnx.load(path)
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.full((16, 3), np.nan, np.float32), "w"))
    onnx.save(model, path)
    with pytest.raises(InferenceError, match=r"nan.onnx answered with NaN or infinity"):
        OnnxClassifier(path, provider="cpu").score(song[None, :WINDOW])


def test_the_provider_is_what_the_session_says(tiny_model):
    assert OnnxClassifier(tiny_model, provider="cpu").provider == "CPUExecutionProvider"
    with pytest.raises(InferenceError, match=r"'tpu', expected one of auto, cuda, cpu"):
        OnnxClassifier(tiny_model, provider="tpu")


def test_cuda_without_cuda_refuses_and_names_what_is_missing(tiny_model):
    fault = cuda_fault()
    if fault is None:
        pytest.skip("CUDA works here")
    with pytest.raises(InferenceError, match=r"provider cuda was asked for and cannot be used: .+"):
        OnnxClassifier(tiny_model, provider="cuda")
    assert ".so" in fault or "built without CUDA" in fault
    assert OnnxClassifier(tiny_model, provider="auto").provider == "CPUExecutionProvider"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"this is no model", "is not a model that ONNX Runtime can load"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_file_that_is_no_model_is_refused(tmp_path, content, said):
    path = tmp_path / "x.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=said):
        OnnxClassifier(path)


def test_a_truncated_model_is_refused(tmp_path, tiny_model):
    path = tmp_path / "cut.onnx"
    path.write_bytes(tiny_model.read_bytes()[:-300])
    with pytest.raises(ModelError):
        OnnxClassifier(path)


def test_a_model_without_a_manifest_is_refused(tmp_path, tiny_model):
    model = onnx.load(tiny_model)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    with pytest.raises(ModelError, match="has no birdwatch manifest"):
        OnnxClassifier(tmp_path / "bare.onnx")


def test_all_that_does_not_fit_is_said_at_once(tmp_path):
    path = write_tiny_model(tmp_path / "odd.onnx", classes=5, scores_output="scores", embedding_output="embedding")
    with pytest.raises(ModelError, match=r"no output 'embedding'.*5 outputs but its manifest lists 3 labels"):
        OnnxClassifier(path)
    waveform = write_tiny_model(
        tmp_path / "wave.onnx",
        text=manifest(input="waveform", frontend=None).to_json(),
    )
    with pytest.raises(ModelError, match=r"its input takes .* its manifest says \(n, 160000\)"):
        OnnxClassifier(waveform)


def test_a_newer_manifest_is_refused(tmp_path):
    text = json.dumps({**json.loads(manifest().to_json()), "schema": 99})
    path = write_tiny_model(tmp_path / "new.onnx", text=text)
    with pytest.raises(ModelError, match=r"schema 99.*upgrade"):
        OnnxClassifier(path)


def test_the_manifest_comes_from_the_file(tiny_model):
    classifier = OnnxClassifier(tiny_model)
    assert classifier.manifest == manifest()
    assert classifier.manifest.labels == LABELS
    stored = {entry.key: entry.value for entry in onnx.load(tiny_model).metadata_props}
    assert json.loads(stored[METADATA_KEY])["labels"][0]["common_name"] == "Great Tit"
    assert len(classifier.sha256) == 64
    assert isinstance(classifier.path, Path)


def with_fixed_batch(path: Path, batch: int) -> Path:
    """The same network, exported for one batch size only."""
    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    fixed = path.with_name(f"fixed{batch}.onnx")
    onnx.save(model, fixed)
    return fixed


@pytest.mark.parametrize("batch", [1, 3])
def test_a_network_with_a_fixed_batch_scores_any_number_of_windows(tiny_model, tmp_path, song, batch):
    windows = windows_of(song)[:7]
    samples = np.stack([window.samples for window in windows])
    expected = OnnxClassifier(tiny_model, provider="cpu").score(samples)
    (tmp_path / "m.onnx").write_bytes(tiny_model.read_bytes())
    fixed = OnnxClassifier(with_fixed_batch(tmp_path / "m.onnx", batch), provider="cpu", batch_size=2, workers=2)
    np.testing.assert_allclose(fixed.score(samples), expected, atol=1e-6)
    np.testing.assert_allclose([w.scores for w in fixed.score_windows(windows)], expected, atol=1e-6)
    assert fixed.score(samples[:0]).shape == (0, len(LABELS))


def test_embeddings_are_the_output_that_the_manifest_names(tiny_model, tmp_path, song):
    with pytest.raises(ModelError, match=r"tiny.onnx has no embedding output"):
        OnnxClassifier(tiny_model, provider="cpu").embed(song[None, :WINDOW])
    model = onnx.load(tiny_model)
    bands = onnx.helper.make_tensor_value_info("bands", onnx.TensorProto.FLOAT, ["n", 16])
    model.graph.output.append(bands)
    onnx.helper.set_model_props(model, {METADATA_KEY: manifest(embedding_output="bands").to_json()})
    onnx.save(model, tmp_path / "both.onnx")
    classifier = OnnxClassifier(tmp_path / "both.onnx", provider="cpu", workers=2)
    windows = windows_of(song)[:6]
    pairs = list(classifier.embed_windows(windows))
    assert [window.start_frame for window, _ in pairs] == [window.start_frame for window in windows]
    vectors = np.stack([vector for _, vector in pairs])
    assert vectors.shape == (6, 16)
    weights = onnx.numpy_helper.to_array(model.graph.initializer[0])
    logits = (vectors - vectors.mean(axis=1, keepdims=True)) @ weights
    scores = np.stack([w.scores for w in classifier.score_windows(windows)])
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), scores, atol=1e-4)
