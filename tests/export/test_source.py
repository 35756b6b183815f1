from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import timm
import torch
from small_checkpoint import ARCH, by_hand, small_checkpoint

from birdwatch.errors import ModelError
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.scores.blending import blended
from export.clips import made_windows
from export.source import Source, from_checkpoints, from_onnx
from export.verify import Kind
from export.write import write_model

WINDOWS = made_windows(32000, 160000, seed=5)[2:10]


@pytest.fixture
def no_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what can be seen without the graph, which takes seconds to trace."""
    monkeypatch.setattr("export.source.export_graph", lambda *_, **__: onnx.ModelProto())


def test_ensemble_is_one_graph_of_mean_probabilities(folds: list[Path], tmp_path: Path) -> None:
    source = from_checkpoints(folds, ensemble=True)
    written = write_model(source, tmp_path / "ensemble.onnx", Kind())
    classifier = OnnxClassifier(written.path, provider="cpu")
    expected = np.mean([by_hand(small_checkpoint(seed), WINDOWS) for seed in range(2)], axis=0)
    np.testing.assert_allclose(classifier.score(WINDOWS), expected, atol=1e-5)
    manifest = classifier.manifest
    assert (manifest.activation, manifest.embedding_output) == ("none", None)
    assert manifest.thresholds == {"bird1": pytest.approx(0.3)}  # the mean of 0.25 and 0.35
    assert manifest.parameters == 2 * sum(
        p.numel() for p in timm.create_model(ARCH, in_chans=1, num_classes=6).parameters()
    )
    assert manifest.provenance["combined"] == "ensemble"
    assert len(manifest.provenance["checkpoints"]) == 2


def test_ensemble_of_a_power_mean_is_the_blend_of_a_run(folds: list[Path], tmp_path: Path) -> None:
    written = write_model(from_checkpoints(folds, ensemble=True, power=3.0), tmp_path / "ensemble.onnx", Kind())
    expected = blended([by_hand(small_checkpoint(seed), WINDOWS) for seed in range(2)], "power", power=3.0)
    classifier = OnnxClassifier(written.path, provider="cpu")
    np.testing.assert_allclose(classifier.score(WINDOWS), expected, atol=1e-5)
    assert classifier.manifest.provenance["combined"] == "ensemble, power mean of 3"


@pytest.mark.usefixtures("no_graph")
def test_average_has_the_mean_of_the_weights(folds: list[Path]) -> None:
    # A checkpoint that is named twice counts once: the shell's fold*/best.pt holds the first one again.
    source = from_checkpoints([folds[0], *folds])
    contents = [small_checkpoint(seed) for seed in range(2)]
    mean = {
        name: (tensor + contents[1]["state_dict"][name]) / 2 if tensor.is_floating_point() else tensor
        for name, tensor in contents[0]["state_dict"].items()
    }
    np.testing.assert_allclose(
        source.reference(WINDOWS), by_hand({**contents[0], "state_dict": mean}, WINDOWS), atol=1e-5
    )
    assert source.manifest.provenance["combined"] == "average"
    assert source.manifest.activation == "sigmoid"


@pytest.mark.usefixtures("no_graph")
def test_one_checkpoint_is_not_changed_by_averaging(folds: list[Path]) -> None:
    assert "combined" not in from_checkpoints([folds[0], folds[0]]).manifest.provenance


@pytest.mark.usefixtures("no_graph")
def test_folders_of_the_training_machine_are_left_out(tmp_path: Path) -> None:
    content = small_checkpoint()
    content["manifest"]["provenance"] = {
        "command": ["/home/me/train", "--lr", "1/2"],
        "data": {"at": "C:\\birds\\a.csv"},
    }
    torch.save(content, tmp_path / "best.pt")
    provenance = from_checkpoints([tmp_path / "best.pt"]).manifest.provenance
    assert provenance["command"] == ["train", "--lr", "1/2"]
    assert provenance["data"] == {"at": "a.csv"}


def test_folds_that_do_not_fit_are_refused_all_at_once(folds: list[Path], tmp_path: Path) -> None:
    content = small_checkpoint()
    manifest = {**content["manifest"], "labels": content["manifest"]["labels"][::-1]}
    model = {**content["model"], "input_pool": 1}
    torch.save({**content, "manifest": manifest, "model": model}, tmp_path / "other.pt")
    (tmp_path / "text.pt").write_text("no checkpoint")
    with pytest.raises(ModelError) as caught:
        from_checkpoints([folds[0], tmp_path / "other.pt", tmp_path / "text.pt"])
    for part in ("another network", "another labels", "text.pt is not a checkpoint"):
        assert part in str(caught.value)


def test_kept_labels_are_the_same_scores_in_the_order_asked_for(folds: list[Path], tmp_path: Path) -> None:
    source = from_checkpoints(folds[:1], keep=["bird4", "bird1"])
    written = write_model(source, tmp_path / "two.onnx", Kind())
    classifier = OnnxClassifier(written.path, provider="cpu")
    assert classifier.manifest.codes == ("bird4", "bird1")
    assert classifier.manifest.thresholds == {"bird1": 0.25}
    np.testing.assert_allclose(classifier.score(WINDOWS), by_hand(small_checkpoint(), WINDOWS)[:, [4, 1]], atol=1e-5)


def test_pooling_may_keep_the_time(tmp_path: Path) -> None:
    torch.save(small_checkpoint(input_pool=4, input_pool_time=2), tmp_path / "best.pt")
    written = write_model(from_checkpoints([tmp_path / "best.pt"]), tmp_path / "fine.onnx", Kind())
    scores = OnnxClassifier(written.path, provider="cpu").score(WINDOWS)
    np.testing.assert_allclose(scores, by_hand(small_checkpoint(input_pool=4, input_pool_time=2), WINDOWS), atol=1e-5)
    assert np.abs(scores - by_hand(small_checkpoint(input_pool=4), WINDOWS)).max() > 1e-3


@pytest.mark.usefixtures("no_graph")
def test_the_first_labels_are_kept_by_number(folds: list[Path]) -> None:
    source = from_checkpoints(folds[:1], keep=2)
    assert source.manifest.codes == ("bird0", "bird1")
    np.testing.assert_allclose(source.reference(WINDOWS), by_hand(small_checkpoint(), WINDOWS)[:, :2], atol=1e-5)


@pytest.mark.parametrize("keep", [["bird1", "owl"], [], ["bird1", "bird1"], 0, 7])
def test_labels_that_cannot_be_kept_are_refused(folds: list[Path], keep: list[str] | int) -> None:
    with pytest.raises(ModelError, match="labels to keep"):
        from_checkpoints(folds[:1], keep=keep)


def test_exported_model_is_fused_and_widened_without_its_checkpoint(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.halve.SMALLEST", 1000)
    first = write_model(source, tmp_path / "stored.onnx", Kind(storage="fp16"))
    again = from_onnx(first.path)
    assert not [t for t in again.graph.graph.initializer if t.data_type == onnx.TensorProto.FLOAT16]
    for kind in (Kind(fused=True, storage="fp16"), Kind(precision="fp16")):
        written = write_model(again, tmp_path / "again.onnx", kind)
        scores = OnnxClassifier(written.path, provider="cpu").score(WINDOWS)
        np.testing.assert_allclose(scores, by_hand(small_checkpoint(), WINDOWS), atol=5e-3)
        assert written.manifest.provenance["exported_again_from"]["sha256"]


def test_exported_model_that_lost_precision_or_its_images_is_refused(source: Source, tmp_path: Path) -> None:
    half = write_model(source, tmp_path / "half.onnx", Kind(precision="fp16")).path
    with pytest.raises(ModelError, match="computes in fp16"):
        from_onnx(half)
    fused = write_model(source, tmp_path / "fused.onnx", Kind(fused=True)).path
    with pytest.raises(ModelError, match="takes 'waveform'"):
        from_onnx(fused)
