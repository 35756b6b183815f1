from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from birdwatch.api import analyze
from birdwatch.checkpoint.file import read_checkpoint
from birdwatch.checkpoint.frontend import FrontEnd
from birdwatch.checkpoint.network import ModelArguments, build_network
from birdwatch.checkpoint.sed import SedAnswer, membership
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.frontend import log_mel
from export.source import from_checkpoints
from export.verify import Kind
from export.write import write_model
from train.device import choose_device
from train.ensemble import load_ensemble
from train.evaluate_soundscapes import evaluate_soundscapes
from train.pseudo_label import write_pseudo_labels
from train.run import fit
from train.settings import Settings


def test_segments_are_the_attentions_weighted_mean_in_a_slow_loop() -> None:
    torch.manual_seed(0)
    network = build_network(ModelArguments(3, "test_efficientnet", head="sed", segments=2))
    images = torch.rand(2, 1, 64, 160)
    assert isinstance(network.train()(images), SedAnswer)
    network.eval()
    with torch.no_grad():
        clip, _, parts = network.outputs(images)
        _, attention, logits = network.frames(images)
        torch.testing.assert_close(network(images), clip)
    frames = logits.shape[1]
    for part in range(2):
        total, weight = torch.zeros(2, 3), torch.zeros(2, 3)
        for frame in range(frames):
            shared = max(0.0, min(frame + 1, frames * (part + 1) / 2) - max(frame, frames * part / 2))
            total += shared * attention[:, frame] * logits[:, frame]
            weight += shared * attention[:, frame]
        torch.testing.assert_close(parts[:, part], total / weight)
    np.testing.assert_allclose(membership(7, 3).sum(dim=1), 1.0, rtol=1e-6)


def test_the_head_is_gem_pooling_and_the_attention_of_panns() -> None:
    torch.manual_seed(0)
    network = build_network(ModelArguments(3, "test_efficientnet", head="sed")).eval()
    images = torch.rand(2, 1, 96, 160)
    with torch.no_grad():
        maps = network.body.forward_features(images).double().numpy()  # (B, features, F, T)
        power = float(network.power)
        pooled = (np.maximum(maps, 1e-6) ** power).mean(axis=2) ** (1 / power)
        features = torch.from_numpy(pooled).float()  # (B, features, T)
        # PANNs: 1 x 1 convolutions over time, a softmax over time of the clipped attention.
        attention = torch.conv1d(features, network.attention.weight[:, :, None], network.attention.bias)
        scores = torch.conv1d(features, network.classifier.weight[:, :, None], network.classifier.bias)
        expected = (torch.softmax(torch.tanh(attention), dim=-1) * scores).sum(dim=2)
        torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-5)
        answer = network.train().requires_grad_(False)
        answer.eval().training = True  # the head alone, so that the normalisations stay
        found = answer(images)
    torch.testing.assert_close(found.highest, scores.amax(dim=2), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.clip, expected, rtol=1e-4, atol=1e-5)


def test_ten_seconds_give_rows_of_five(quick: Settings, tmp_path: Path) -> None:
    settings = replace(quick, head="sed", window_s=10.0, epochs=1, cache=str(tmp_path / "mels"))
    out = fit(settings, resume=False, say=lambda _: None, quiet=True)
    checkpoint = read_checkpoint(out / "fold0" / "best.pt")
    assert (checkpoint.model.head, checkpoint.model.segments) == ("sed", 2)
    path = write_model(from_checkpoints([out / "fold0" / "best.pt"]), tmp_path / "model.onnx", Kind()).path
    classifier = OnnxClassifier(path, provider="cpu")
    samples = np.random.default_rng(1).normal(0, 0.1, 25 * 32000).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 32000, subtype="FLOAT")
    found = analyze(tmp_path / "a.wav", classifier, hop_s=10.0).windows
    assert [(row.start_frame / 32000, row.valid_frames / 32000) for row in found] == [(5.0 * i, 5.0) for i in range(5)]
    network = build_network(checkpoint.model).eval()
    network.load_state_dict(checkpoint.state_dict)
    with torch.no_grad():
        mel = torch.from_numpy(log_mel(samples[None, :320000], checkpoint.manifest.frontend))
        parts = torch.sigmoid(network.outputs(torch.nn.functional.avg_pool2d(mel, 4))[2])[0]
    for number in range(2):
        assert found[number].scores == pytest.approx(parts[number].numpy(), abs=1e-5)
    rows = classifier.score_rows(samples[None, :320000])
    np.testing.assert_array_equal(rows, np.stack([row.scores for row in found[:2]])[None])
    overlapped = analyze(tmp_path / "a.wav", classifier, hop_s=5.0).windows
    assert [row.start_frame // 160000 for row in overlapped] == [0, 1, 2, 3, 4]


def test_soundscapes_are_evaluated_and_pseudo_labelled_in_the_rows_of_a_run(quick: Settings, tmp_path: Path) -> None:
    settings = replace(quick, head="sed", window_s=10.0, epochs=1, cache=str(tmp_path / "mels"))
    out = fit(settings, resume=False, say=lambda _: None, quiet=True)
    (tmp_path / "scapes").mkdir()
    samples = np.random.default_rng(1).normal(0, 0.1, 23 * 32000).astype(np.float32)
    soundfile.write(tmp_path / "scapes" / "a.wav", samples, 32000, subtype="FLOAT")
    ensemble = load_ensemble([out / "fold0" / "best.pt"], choose_device("cpu"))
    path = write_model(from_checkpoints([out / "fold0" / "best.pt"]), tmp_path / "model.onnx", Kind()).path
    for hop_s in (10.0, 5.0):
        expected = analyze(tmp_path / "scapes" / "a.wav", path, hop_s=hop_s).windows
        found = ensemble.score_file(tmp_path / "scapes" / "a.wav", hop_s=hop_s)
        assert [(row.start_frame, row.valid_frames) for row in found] == [
            (row.start_frame, row.valid_frames) for row in expected
        ]
        np.testing.assert_allclose([r.scores for r in found], [r.scores for r in expected], atol=1e-5)
    # As on a GPU, where the images are made there.
    there = replace(ensemble, front_end=FrontEnd(ensemble.manifest.frontend))
    found = there.score_file(tmp_path / "scapes" / "a.wav", hop_s=5.0)
    np.testing.assert_allclose([r.scores for r in found], [r.scores for r in expected], atol=1e-4)
    codes = ensemble.manifest.codes
    (tmp_path / "t.csv").write_text("row_id,birds\n" + "".join(f"a_{5 * i},{codes[i % 2]}\n" for i in range(1, 6)))
    options = {"out": None, "say": lambda _: None, "quiet": True}
    assert evaluate_soundscapes(ensemble, tmp_path / "scapes", tmp_path / "t.csv", **options)["rows"] == 5
    write_pseudo_labels(ensemble, tmp_path / "scapes", tmp_path / "p.csv", power=1.0, least=0.001, quiet=True)
    spans = {tuple(line.split(",")[1:3]) for line in (tmp_path / "p.csv").read_text().splitlines()[1:]}
    assert spans == {(f"{5 * i}", f"{5 * i + 5}") for i in range(5)}
