"""Training in bfloat16, in mixed precision and compiled."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from fold_run import run

import train.step as step
from birdwatch.checkpoint.file import load_tensors
from birdwatch.model.frontend import FrontendSpec
from train.device import half_precision
from train.settings import Settings


def test_bfloat16_on_a_processor_computes_in_it_and_learns_alike(quick: Settings, monkeypatch) -> None:
    kinds: list[torch.dtype] = []
    loss = step.classification_loss

    def watched(logits: torch.Tensor, *args: Any) -> torch.Tensor:
        kinds.append(logits.dtype)
        return loss(logits, *args)

    plain = run(replace(quick, epochs=1))
    monkeypatch.setattr(step, "classification_loss", watched)
    coarse: list[bool] = []
    pooled = step.pool_input

    def seen(*args: Any) -> torch.Tensor:
        coarse.append(torch.is_autocast_enabled("cpu"))
        return pooled(*args)

    monkeypatch.setattr(step, "pool_input", seen)
    half = run(replace(quick, epochs=1, bf16=True, out=quick.out + " half"))
    first, second = load_tensors(plain / "last.pt"), load_tensors(half / "last.pt")
    assert set(kinds) == {torch.float32}, "the loss stays in float32"
    assert not any(coarse), "and so do augmentation and front end"
    assert all(value.dtype == first["network"][name].dtype for name, value in second["network"].items())
    assert first["history"][0]["loss"] != second["history"][0]["loss"]
    assert second["history"][0]["loss"] == pytest.approx(first["history"][0]["loss"], rel=0.03)
    # What the network computed has bfloat16's eight bits: nothing finer than 1/256 of itself.
    convolved = []
    network = torch.nn.Conv2d(1, 4, 3)
    forward = step.Forward(
        lambda images: convolved.append(network(images)) or torch.zeros(len(images), 3, requires_grad=True),
        replace(quick, bf16=True, mixup_prob=0.0, aug_prob=0.0),
        FrontendSpec(),
        (1, 1),
        torch.device("cpu"),
        half_precision(replace(quick, bf16=True), torch.device("cpu")),
    )
    spec = FrontendSpec()
    batch = {"mel": torch.rand(2, spec.spectra, spec.n_mels), "target": torch.zeros(2, 3), "weight": torch.ones(2, 3)}
    forward.loss(batch, np.random.default_rng(0))
    assert convolved[0].dtype == torch.bfloat16


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA")
def test_mixed_precision_on_cuda_trains(quick: Settings) -> None:
    folder = run(replace(quick, device="cuda", amp=True))
    assert all(np.isfinite(row["loss"]) for row in load_tensors(folder / "last.pt")["history"])


def test_a_compiled_network_trains_alike_and_leaves_the_plain_names(quick: Settings, monkeypatch) -> None:
    plain = run(replace(quick, epochs=1))
    # Traced as for real, but without the C++ compiler, which takes minutes.
    compiled: list[Any] = []
    real = torch.compile

    def compile_eagerly(network: torch.nn.Module) -> Any:
        compiled.append(real(network, backend="eager"))
        return compiled[0]

    monkeypatch.setattr(torch, "compile", compile_eagerly)
    folder = run(replace(quick, epochs=1, compile=True, out=quick.out + " compiled"))
    assert len(compiled) == 1
    first, second = load_tensors(plain / "last.pt"), load_tensors(folder / "last.pt")
    assert first["network"].keys() == second["network"].keys()
    assert second["history"][0]["loss"] == pytest.approx(first["history"][0]["loss"], rel=1e-5)
