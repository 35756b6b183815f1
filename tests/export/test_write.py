from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import timm
import torch
from small_checkpoint import by_hand, small_checkpoint

import export.verify
from birdwatch.errors import BirdwatchError, ModelError
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.frontend import log_mel
from birdwatch.model.manifest import METADATA_KEY, Manifest
from birdwatch.model.probe import replay_probe
from export.clips import made_windows
from export.source import Source, from_checkpoints
from export.verify import Kind
from export.write import Written, write_model


@pytest.fixture(scope="module")
def written(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_model(source, tmp_path_factory.mktemp("model") / "small.onnx", Kind())


@pytest.fixture(scope="module")
def windows() -> np.ndarray:
    """Songs, a click, full-scale noise and silence; other songs than those of the verification."""
    return made_windows(32000, 160000, seed=99)


def test_file_gives_the_networks_scores_at_any_batch(written: Written, windows: np.ndarray) -> None:
    expected = by_hand(small_checkpoint(), windows[:8])
    assert np.ptp(expected) > 0.3  # the small network does answer differently to different sounds
    session = ort.InferenceSession(written.path, providers=["CPUExecutionProvider"])
    for batch in (1, 2, 3, 8):
        (logits,) = session.run(["scores"], {"mel": log_mel(windows[:batch])})
        np.testing.assert_allclose(1 / (1 + np.exp(-logits)), expected[:batch], atol=1e-5)


def test_file_is_one_valid_graph_without_batch_normalisation(written: Written) -> None:
    assert [path.name for path in written.path.parent.iterdir()] == ["small.onnx"]
    model = onnx.load(written.path)
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == 18
    assert not [node for node in model.graph.node if node.op_type == "BatchNormalization"]
    for value in (*model.graph.input, *model.graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param == "n"


def test_file_tells_nothing_of_the_machine_that_wrote_it(written: Written) -> None:
    data = written.path.read_bytes()
    for secret in (b"site-packages", b".py", os.fsencode(Path.home()), os.fsencode(Path.cwd())):
        assert secret not in data


def test_manifest_says_all_of_it(written: Written) -> None:
    manifest = OnnxClassifier(written.path, provider="cpu").manifest
    content = small_checkpoint()
    assert manifest == Manifest.from_json(json.dumps(json.loads(manifest.to_json())))
    assert manifest.codes == tuple(label["code"] for label in content["manifest"]["labels"])
    assert manifest.thresholds == {"bird1": 0.25}
    assert (manifest.input, manifest.activation, manifest.license) == ("mel", "sigmoid", "CC BY-NC-SA 4.0")
    assert manifest.provenance["training_data"] == "0123456789abcdef"
    assert manifest.provenance["checkpoints"][0]["metrics"] == content["metrics"]
    assert manifest.provenance["network"] == content["model"]
    verified = manifest.provenance["export"]["verified"]
    assert set(verified["largest_difference"]) == {"1", "3", "8"}
    assert max(verified["largest_difference"].values()) <= 1e-5
    network = timm.create_model("test_efficientnet", in_chans=1, num_classes=6)
    assert manifest.parameters == sum(p.numel() for p in network.parameters())
    assert manifest.macs is not None
    assert manifest.macs > 1e6


def test_macs_are_counted_for_one_window(written: Written) -> None:
    """A slow oracle: output size times the products of one output, over all convolutions and linear layers."""
    network = timm.create_model("test_efficientnet", in_chans=1, num_classes=6).eval()
    macs = 0

    def count(module: torch.nn.Module, _: object, out: torch.Tensor) -> None:
        nonlocal macs
        macs += out[0].numel() * module.weight[0].numel()  # type: ignore[index]

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.register_forward_hook(count)
    network(torch.zeros(2, 1, 128, 128))
    assert written.manifest.macs == macs


def test_same_export_writes_the_same_bytes(source: Source, written: Written, tmp_path: Path) -> None:
    again = write_model(source, tmp_path / "again.onnx", Kind())
    assert again.path.read_bytes() == written.path.read_bytes()


def test_embedding_is_what_the_classifier_sees(written: Written, windows: np.ndarray) -> None:
    content = small_checkpoint()
    session = ort.InferenceSession(written.path, providers=["CPUExecutionProvider"])
    logits, embedding = session.run(["scores", "embedding"], {"mel": log_mel(windows[:2])})
    state = content["state_dict"]
    expected = embedding @ state["classifier.weight"].numpy().T + state["classifier.bias"].numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_probe_passes_here_and_fails_with_a_wrong_weight(written: Written, tmp_path: Path) -> None:
    assert replay_probe(OnnxClassifier(written.path, provider="cpu")).passed
    model = onnx.load(written.path)
    largest = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    values = onnx.numpy_helper.to_array(largest) * np.float32(1.05)
    largest.CopyFrom(onnx.numpy_helper.from_array(values, largest.name))
    onnx.save(model, tmp_path / "wrong.onnx")
    assert not replay_probe(OnnxClassifier(tmp_path / "wrong.onnx", provider="cpu")).passed


def test_fused_takes_samples_and_gives_the_same_scores(source: Source, windows: np.ndarray, tmp_path: Path) -> None:
    fused = write_model(source, tmp_path / "fused.onnx", Kind(fused=True))
    classifier = OnnxClassifier(fused.path, provider="cpu")
    assert classifier.manifest.input == "waveform"
    assert classifier.manifest.frontend == source.manifest.frontend
    session = ort.InferenceSession(fused.path, providers=["CPUExecutionProvider"])
    assert [(i.name, i.shape, i.type) for i in session.get_inputs()] == [("waveform", ["n", 160000], "tensor(float)")]
    assert {op.domain for op in onnx.load(fused.path).opset_import} <= {"", "ai.onnx"}
    expected = by_hand(small_checkpoint(), windows)
    np.testing.assert_allclose(classifier.score(windows), expected, atol=1e-3)
    for one, row in zip(windows, expected, strict=True):  # a window's scores do not depend on its batch
        np.testing.assert_allclose(classifier.score(one[None])[0], row, atol=1e-3)


def test_fp16_halves_the_network_but_not_its_sums(source: Source, windows: np.ndarray, tmp_path: Path) -> None:
    half = write_model(source, tmp_path / "half.onnx", Kind(fused=True, precision="fp16"))
    model = onnx.load(half.path)
    halves = {t.name for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT16}
    for node in model.graph.node:
        if node.op_type == "Conv":
            assert halves.issuperset(node.input[1:])
        elif node.op_type in ("Gemm", "ReduceMean", "Log", "MatMul"):
            assert not halves.intersection(node.input)
    assert not [name for name in halves if name.startswith("frontend/")]
    scores = OnnxClassifier(half.path, provider="cpu").score(windows)
    assert 1e-7 < np.abs(scores - by_hand(small_checkpoint(), windows)).max() <= 5e-3


def test_fp16_is_refused_where_results_leave_its_range(tmp_path: Path) -> None:
    content = small_checkpoint()
    # The same network, its last convolution's results a million times larger and undone behind: harmless in float32.
    content["state_dict"]["conv_head.weight"] *= 1e6
    for name in ("running_mean", "running_var"):
        content["state_dict"][f"bn2.{name}"] *= 1e6 if name == "running_mean" else 1e12
    content["state_dict"]["bn2.weight"] *= 1e6
    content["state_dict"]["bn2.bias"] *= 1e6
    content["state_dict"]["classifier.weight"] *= 1e-6
    torch.save(content, tmp_path / "wide.pt")
    source = from_checkpoints([tmp_path / "wide.pt"])
    write_model(source, tmp_path / "wide.onnx", Kind())
    with pytest.raises(ModelError, match=r"fp16 for CUDA model moves a probability by inf .* --precision fp32"):
        write_model(source, tmp_path / "half.onnx", Kind(precision="fp16"))
    assert not (tmp_path / "half.onnx").exists()


def test_storing_in_half_makes_a_smaller_file_that_computes_in_float32(
    source: Source, written: Written, windows: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.halve.SMALLEST", 1000)  # the small network has few large tensors
    stored = write_model(source, tmp_path / "stored.onnx", Kind(storage="fp16"))
    assert stored.bytes < 0.7 * written.bytes
    scores = OnnxClassifier(stored.path, provider="cpu").score(windows)
    np.testing.assert_allclose(scores, by_hand(small_checkpoint(), windows), atol=1e-3)


def test_scores_that_are_off_leave_the_old_file(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"the old one")
    wrong = replace(source, reference=lambda samples: source.reference(samples) + np.float32(1e-3))
    with pytest.raises(ModelError, match=r"moves a probability by 0\.001 .* more than 1e-05; it is not written"):
        write_model(wrong, path, Kind())
    assert path.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [path]


def test_nan_is_never_within_tolerance() -> None:
    parity = export.verify.Parity({1: float("nan"), 3: 0.0, 8: 0.0}, "14 windows")
    with pytest.raises(ModelError, match="nan"):
        export.verify.require(parity, Kind())


def test_folder_that_does_not_exist_is_refused_before_any_work(source: Source, tmp_path: Path) -> None:
    with pytest.raises(BirdwatchError, match="does not exist"):
        write_model(source, tmp_path / "nowhere" / "model.onnx", Kind())


def test_metadata_key_is_the_one_that_birdwatch_reads(written: Written) -> None:
    (entry,) = onnx.load(written.path).metadata_props
    assert entry.key == METADATA_KEY


def test_other_opsets_give_the_same_scores(folds: list[Path], windows: np.ndarray, tmp_path: Path) -> None:
    source = from_checkpoints(folds[:1], opset=20)
    other = write_model(source, tmp_path / "other.onnx", Kind(fused=True))
    assert onnx.load(other.path).opset_import[0].version == 20
    expected = by_hand(small_checkpoint(), windows)
    np.testing.assert_allclose(OnnxClassifier(other.path, provider="cpu").score(windows), expected, atol=1e-3)


def test_real_recordings_give_the_same_scores_fused(source: Source, shared_audio: Path, tmp_path: Path) -> None:
    recordings = sorted(shared_audio.glob("train_audio/*/*.ogg"))[:3]
    fused = write_model(source, tmp_path / "fused.onnx", Kind(fused=True), recordings=recordings)
    assert fused.parity.largest <= 1e-3
    assert "3 recordings" in fused.manifest.provenance["export"]["verified"]["on"]
