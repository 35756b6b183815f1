"""Providers are opened, or refused with their reason; what runs is what was asked for."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from tiny_model import write_tiny_model

from birdwatch.audio.types import Window
from birdwatch.errors import InferenceError
from birdwatch.model import openvino_network, providers
from birdwatch.model.builtin import built_in_model
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.openvino_network import OpenVinoNetwork, openvino_fault
from birdwatch.model.provider_names import PROVIDERS
from birdwatch.model.providers import OTHERS, other_fault
from birdwatch.model.session import CPU, NetworkError, open_session

WINDOW = 160000


def noise(count: int) -> np.ndarray:
    return np.random.default_rng(count).normal(0.0, 0.1, (count, WINDOW)).astype(np.float32)


def windows(count: int) -> list[Window]:
    return [Window(samples, number * 80000, WINDOW) for number, samples in enumerate(noise(count))]


def test_every_name_is_handled_once() -> None:
    assert set(PROVIDERS) == {"auto", "cuda", "cpu"} | OTHERS


@pytest.mark.slow
@pytest.mark.parametrize("provider", sorted(OTHERS))
def test_each_is_used_or_refused_with_its_reason(provider) -> None:
    fault = other_fault(provider)
    if fault is None:
        classifier = OnnxClassifier(built_in_model(), provider=provider)
        assert classifier.provider != CPU
        return
    assert "\n" not in fault
    with pytest.raises(InferenceError) as refused:
        OnnxClassifier(built_in_model(), provider=provider)
    assert str(refused.value) == (
        f"provider {provider} was asked for and cannot be used: {fault}, or use --provider cpu"
    )


def openvino() -> None:
    pytest.importorskip("openvino", reason="needs the extra 'openvino': pip install 'birdwatch[openvino]'")
    if fault := openvino_fault("openvino"):
        pytest.skip(fault)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3, 4, 11])
def test_openvino_computes_what_onnx_runtime_computes(count: int) -> None:
    openvino()
    classifier = OnnxClassifier(built_in_model(), provider="openvino", workers=3)
    assert (classifier.provider, classifier.setback, classifier.batch_size) == ("OpenVINO CPU f32", None, 4)
    found = np.stack([scored.scores for scored in classifier.score_windows(windows(count))])
    expected = OnnxClassifier(built_in_model(), provider="cpu").score(noise(count))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_bfloat16_is_only_used_where_it_is_asked_for() -> None:
    openvino()
    if fault := openvino_fault("openvino-bf16"):
        assert "bfloat16" in fault
        pytest.skip(fault)
    classifier = OnnxClassifier(built_in_model(), provider="openvino-bf16")
    expected = OnnxClassifier(built_in_model(), provider="cpu").score(noise(2))
    np.testing.assert_allclose(classifier.score(noise(2)), expected, atol=0.05)


def test_without_the_package_the_command_is_named_that_installs_it(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert (openvino_fault("openvino") or "").startswith("the package openvino is missing; ")
    assert "[openvino]" in (openvino_fault("openvino") or "")


@pytest.mark.slow
def test_openvino_that_fails_on_the_way_leaves_the_work_to_the_cpu(monkeypatch) -> None:
    openvino()
    classifier = OnnxClassifier(built_in_model(), provider="openvino", workers=2)

    def broken(self: OpenVinoNetwork, output: str, values: np.ndarray) -> np.ndarray:
        raise NetworkError(RuntimeError("the device was removed"))

    monkeypatch.setattr(openvino_network.OpenVinoNetwork, "run", broken)
    found = np.stack([scored.scores for scored in classifier.score_windows(windows(5))])
    np.testing.assert_allclose(found, OnnxClassifier(built_in_model(), provider="cpu").score(noise(5)), atol=1e-6)
    assert classifier.provider == CPU
    assert classifier.setback == "OpenVINO CPU f32 failed (the device was removed); scoring on the CPU"


def test_openvino_takes_a_batch_of_its_own(tmp_path) -> None:
    openvino()
    path = write_tiny_model(tmp_path / "tiny.onnx")
    classifier = OnnxClassifier(path, provider="openvino", batch_size=2)
    assert classifier.batch_size == 2
    np.testing.assert_allclose(
        classifier.score(noise(5)), OnnxClassifier(path, provider="cpu").score(noise(5)), atol=1e-5
    )


def test_what_falls_back_in_silence_is_refused(monkeypatch) -> None:
    # A build that lists a provider and then does not use it.
    monkeypatch.setattr(providers, "available", lambda: ["XnnpackExecutionProvider"])
    monkeypatch.setattr(providers, "open_session", lambda data, path, **_: open_session(data, path))
    with pytest.raises(InferenceError, match=r"provider xnnpack was asked for and ONNX Runtime fell back to CPUExec"):
        OnnxClassifier(built_in_model(), provider="xnnpack")
