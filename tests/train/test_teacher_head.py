"""The teacher's head: its logits, its product as a plain head, and training that ends in an ordinary checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from birdwatch.checkpoint.file import read_checkpoint
from birdwatch.checkpoint.network import ModelArguments, build_network
from birdwatch.errors import ConfigError
from train.run import fit
from train.settings import Settings
from train.teacher import Embeddings, Teacher, read_teacher, write_teacher
from train.teacher_head import TeacherHead, embedding_loss, plain_state, put_teacher_head

SIZE = 7


def teacher(known: list[bool], seed: int = 0) -> Teacher:
    rng = np.random.default_rng(seed)
    values = rng.normal(2.0, 3.0, (2 * len(known) + SIZE + 4,)).astype(np.float32)
    weight = rng.normal(size=(len(known), SIZE)).astype(np.float32)
    is_known = np.array(known)
    return Teacher(
        {},
        np.where(is_known[:, None], weight, 0.0).astype(np.float32),
        np.where(is_known, values[: len(known)], 0.0).astype(np.float32),
        is_known,
        values[-SIZE:],
        np.abs(values[-SIZE:]) + 0.5,
    )


def test_the_embedding_goes_through_the_teacher_s_own_classifier() -> None:
    given = teacher([True, True, True])
    head = TeacherHead(5, given, prior=0.01).train()
    features = torch.randn(4, 5, generator=torch.Generator().manual_seed(1))
    logits, embedding = head(features)
    # Back from units of the spread, then as the teacher does it.
    own = embedding.detach().numpy() * given.spread + given.mean
    np.testing.assert_allclose(logits.detach().numpy(), own @ given.weight.T + given.bias, rtol=1e-4, atol=1e-4)
    assert torch.equal(head.eval()(features), logits)


@pytest.mark.parametrize("arch", ["regnetx_002", "test_resnet", "test_convnext"])
def test_any_backbone_that_ends_in_a_linear_layer_takes_a_teachers_head(arch: str) -> None:
    network = build_network(ModelArguments(3, arch))
    put_teacher_head(network, teacher([True, True, False]), prior=0.01)
    images = torch.rand(2, 1, 160, 160, generator=torch.Generator().manual_seed(3))
    logits, embedding = network.train()(images)
    assert (logits.shape, embedding.shape) == ((2, 3), (2, SIZE))
    plain = build_network(ModelArguments(3, arch))
    plain.load_state_dict(plain_state(network))
    with torch.no_grad():
        torch.testing.assert_close(plain.eval()(images), network.eval()(images), rtol=1e-3, atol=1e-4)


def test_attention_over_time_takes_a_teachers_head() -> None:
    arguments = ModelArguments(3, "test_efficientnet", head="sed", segments=2)
    network = build_network(arguments)
    put_teacher_head(network, teacher([True, True, False]), prior=0.01)
    images = torch.rand(2, 1, 64, 160, generator=torch.Generator().manual_seed(3))
    answer = network.train()(images)
    assert (answer.clip.shape, answer.embedding.shape) == ((2, 3), (2, SIZE))
    head = network.classifier
    features = torch.rand(2, 5, head.project.in_features)
    by_frame = [head.train()(features[:, frame]) for frame in range(5)]
    for whole, parts in zip(head(features), zip(*by_frame, strict=True), strict=True):
        torch.testing.assert_close(whole, torch.stack(parts, dim=1))
    plain = build_network(arguments)
    plain.load_state_dict(plain_state(network))
    with torch.no_grad():
        for one, other in zip(plain.eval().outputs(images), network.eval().outputs(images), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_a_network_without_one_linear_head_is_refused() -> None:
    network = build_network(ModelArguments(3, "test_efficientnet"))
    network.classifier = torch.nn.Identity()
    with pytest.raises(ConfigError, match="choose another --arch"):
        put_teacher_head(network, teacher([True, True, False]), prior=0.01)


@pytest.mark.parametrize("known", [[True, True, True], [True, False, True, False]])
def test_a_plain_head_with_the_product_gives_the_same_logits(known: list[bool]) -> None:
    network = build_network(ModelArguments(len(known), "test_efficientnet"))
    put_teacher_head(network, teacher(known), prior=0.01)
    head = network.classifier
    assert isinstance(head, TeacherHead)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
    plain = build_network(ModelArguments(len(known), "test_efficientnet"))
    plain.load_state_dict(plain_state(network))
    images = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        torch.testing.assert_close(plain.eval()(images), network.eval()(images), rtol=1e-4, atol=1e-4)


def test_classes_that_the_teacher_lacks_start_at_the_prior_and_learn() -> None:
    head = TeacherHead(5, teacher([True, False]), prior=0.02)
    assert isinstance(head.unknown, nn.Linear)
    assert torch.sigmoid(head.unknown.bias).item() == pytest.approx(0.02)
    logits, _ = head.train()(torch.ones(3, 5))
    logits[:, 1].sum().backward()
    assert (head.unknown.weight.grad != 0).all()
    assert head.weight.grad is None, "the teacher's classifier stays as it is"


def test_the_loss_counts_only_what_is_known() -> None:
    embedding, target = torch.zeros(2, 3), torch.tensor([[2.0, 2.0, 2.0], [0.5, 0.5, 0.5]])
    # Smooth L1: |d| - 0.5 from 1 on, d^2 / 2 below.
    assert embedding_loss(embedding, target, torch.tensor([1.0, 0.0])).item() == pytest.approx(1.5 / 2)
    assert embedding_loss(embedding, target, torch.tensor([0.0, 0.5])).item() == pytest.approx(0.125 * 0.5 / 2)
    assert embedding_loss(embedding, target, torch.zeros(2)).item() == 0.0


@pytest.fixture
def taught(quick: Settings) -> Settings:
    """The tiny data set with a teacher: its embedding says the species, in noise."""
    rng = np.random.default_rng(0)
    codes = ["lowbird", "midbird", "highbird"]
    centres = 4.0 * np.eye(3, SIZE)
    recordings, scores = {}, []
    for path in sorted(Path(quick.audio_root).rglob("*.wav")):
        start_s = np.arange(5.0)
        values = centres[codes.index(path.parent.name)] + rng.normal(0.0, 0.1, (5, SIZE))
        recordings[f"{path.parent.name}/{path.name}"] = Embeddings(start_s, start_s + 3.0, values)
        scores.append(1.0 / (1.0 + np.exp(-(values[:, :3] * 2.0 - 4.0))))
    write_teacher(Path(quick.out + ".npz"), recordings, codes, [0, 1, 2], np.concatenate(scores).astype(np.float32))
    return replace(quick, teacher=quick.out + ".npz", ema=0.9, average_last=2)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"head": "sed", "window_s": 10.0, "head_ridge": 0.1},
        {"arch": "regnety_008", "epochs": 1, "average_last": 1},
        {"arch": "regnety_008", "head": "sed", "epochs": 1, "average_last": 1},
    ],
)
def test_training_by_a_teacher_leaves_an_ordinary_checkpoint(taught: Settings, changes: dict[str, object]) -> None:
    lines: list[str] = []
    taught = replace(taught, **changes, cache=f"{taught.cache}{changes.get('window_s', 5)}")
    out = fit(taught, resume=False, say=lines.append)
    assert any("embeddings for 18 of 18 recordings, its classifier for 3 of 3 classes" in line for line in lines)
    for name in ("best.pt", "average.pt"):
        checkpoint = read_checkpoint(out / "fold0" / name)
        network = build_network(checkpoint.model)
        network.load_state_dict(checkpoint.state_dict)
        assert set(checkpoint.state_dict) == set(network.state_dict())


def test_an_interrupted_run_goes_on_to_the_same_weights(taught: Settings) -> None:
    whole = fit(taught, resume=False, say=lambda _: None)
    other = replace(taught, out=taught.out + "2")

    def interrupt(line: str) -> None:
        if "epoch 2/2" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(other, resume=False, say=interrupt)
    lines: list[str] = []
    resumed = fit(other, resume=True, say=lines.append)
    assert any("resumes after epoch 1 of 2" in line for line in lines)
    first, second = (read_checkpoint(out / "fold0" / "average.pt").state_dict for out in (whole, resumed))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("head", ["linear", "sed"])
def test_a_teacher_without_a_classifier_gives_its_embedding_alone(taught: Settings, head: str) -> None:
    teacher = read_teacher(Path(taught.teacher), ["lowbird", "midbird", "highbird"])
    scores = np.concatenate([item.values for item in teacher.recordings.values()])[:, :1].astype(np.float32) ** 2
    path = Path(taught.out + " embeddings.npz")
    write_teacher(path, teacher.recordings, ["lowbird", "midbird", "highbird"], [0], scores / scores.max())
    lines: list[str] = []
    settings = replace(taught, teacher=str(path), head=head, out=taught.out + head, average_last=0)
    out = fit(settings, resume=False, say=lines.append)
    assert any("its classifier for 0 of 3 classes" in line for line in lines)
    checkpoint = read_checkpoint(out / "fold0" / "best.pt")
    network = build_network(checkpoint.model)
    network.load_state_dict(checkpoint.state_dict)
    with pytest.raises(ConfigError, match="synthetic mixtures need a teacher with a classifier; that of"):
        fit(replace(settings, varied="nowhere", out=settings.out + "2"), resume=False, say=lambda _: None)


@pytest.mark.parametrize("head", ["linear", "sed"])
def test_the_embedding_is_learnt(head: str, taught: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    import train.step as loop

    seen: list[float] = []

    def watched(*args: torch.Tensor) -> torch.Tensor:
        value = embedding_loss(*args)
        seen.append(value.item())
        return value

    monkeypatch.setattr(loop, "embedding_loss", watched)
    fit(
        replace(taught, head=head, epochs=12, teacher_weight=5.0, lr=3e-3, mixup_prob=0.0),
        resume=False,
        say=lambda _: None,
    )
    assert np.mean(seen[-4:]) < 0.8 * np.mean(seen[:4])
