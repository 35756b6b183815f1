"""`birdwatch model wrap`: foreign networks of many forms run afterwards; what cannot work is refused, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

from birdwatch.cli.main import birdwatch
from birdwatch.errors import BirdwatchError
from birdwatch.model.classifier import OnnxClassifier

RATE, FRAMES, CLASSES = 8000, 4000, 4
WEIGHTS = np.random.default_rng(3).normal(0, 40, (8, CLASSES)).astype(np.float32)


def foreign(
    path: Path,
    *,
    batch: str | int = "n",
    channel: bool = False,
    end: str | None = None,
    second: bool = True,
    mixing: bool = False,
    opset: int = 17,
    rank3: bool = False,
) -> Path:
    """Eight bands' powers, an embedding of them, and a dense layer: logits unless `end` activates them."""
    shape: list[Any] = [batch, 1, FRAMES] if channel else [batch, FRAMES]
    nodes = [helper.make_node("Mul", ["audio", "audio"], ["power"])]
    nodes += [helper.make_node("Reshape", ["power", "pooled"], ["parts"])]
    nodes += [helper.make_node("ReduceMean", ["parts"], ["bands"], axes=[2], keepdims=0)]
    if mixing:
        nodes += [helper.make_node("ReduceMean", ["bands"], ["all"], axes=[0], keepdims=1)]
        nodes += [helper.make_node("Sub", ["bands", "all"], ["embedding"])]
    else:
        nodes += [helper.make_node("Identity", ["bands"], ["embedding"])]
    last = "label" if end is None and not rank3 else "logits"
    nodes += [helper.make_node("MatMul", ["embedding", "w"], [last])]
    if end:
        nodes += [helper.make_node(end, ["logits"], ["label"])]
    if rank3:
        nodes += [helper.make_node("Unsqueeze", ["logits", "one"], ["label"])]
    outputs = [helper.make_tensor_value_info("label", TensorProto.FLOAT, None)]
    if second:
        outputs.insert(0, helper.make_tensor_value_info("embedding", TensorProto.FLOAT, None))
    constants = [
        numpy_helper.from_array(np.array([-1, 8, FRAMES // 8], np.int64), "pooled"),
        numpy_helper.from_array(WEIGHTS, "w"),
        numpy_helper.from_array(np.array([1], np.int64), "one"),
    ]
    graph = helper.make_graph(
        nodes, "foreign", [helper.make_tensor_value_info("audio", TensorProto.FLOAT, shape)], outputs, constants
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return path


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    names = ["Parus major", "Erithacus rubecula", "Turdus merula", "Corvus corax"]
    path.write_text("\n".join(["scientific_name", *names]))
    return path


def wrap(network: Path, labels: Path, *more: str, activation: str = "sigmoid", out: Path | None = None) -> str:
    line = ["model", "wrap", str(network), "--labels", str(labels), "--rate", str(RATE), "--window", "0.5"]
    line += ["--input", "waveform", "--activation", activation, *more]
    line += ["--out", str(out)] if out else []
    result = CliRunner().invoke(birdwatch, line)
    if isinstance(result.exception, BirdwatchError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stderr


FORMS: list[dict[str, Any]] = [
    {},
    {"batch": 1},
    {"batch": 2},
    {"channel": True},
    {"channel": True, "batch": 1},
    {"opset": 11},
    {"end": "Sigmoid"},
]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_wrapped_network_scores_a_recording(tmp_path: Path, labels: Path, form: dict[str, Any]) -> None:
    network = foreign(tmp_path / "foreign.onnx", **form)
    activation = "none" if "end" in form else "sigmoid"
    model = tmp_path / "mine.onnx"
    told = wrap(network, labels, "--scores", "label", "--embedding", "embedding", activation=activation, out=model)
    assert f"use it with --model {model}" in told
    audio = np.random.default_rng(5).normal(0, 0.1, 3 * RATE).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", audio, RATE, subtype="FLOAT")
    out = tmp_path / "out.csv"
    line = [
        "run",
        str(tmp_path / "a.wav"),
        "--model",
        str(model),
        "--out",
        str(out),
        "--hop",
        "0.5",
        "--threshold",
        "0",
    ]
    assert CliRunner().invoke(birdwatch, line).exit_code == 0
    assert len(out.read_text().splitlines()) == 1 + CLASSES
    windows = audio.reshape(6, FRAMES)
    bands = (windows.astype(np.float64) ** 2).reshape(6, 8, -1).mean(axis=2)
    classifier = OnnxClassifier(model, provider="cpu")
    np.testing.assert_allclose(classifier.score(windows), 1 / (1 + np.exp(-bands @ WEIGHTS)), atol=1e-4)
    np.testing.assert_allclose(classifier.embed(windows), bands, rtol=1e-4)
    assert classifier.manifest.labels[2].scientific_name == "Turdus merula"


def test_without_out_it_is_added_by_name(tmp_path: Path, labels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIRDWATCH_MODELS", str(tmp_path / "store"))
    told = wrap(foreign(tmp_path / "crows.onnx", second=False), labels, "--license", "MIT")
    assert "use it with --model crows" in told
    assert OnnxClassifier(tmp_path / "store" / "crows.onnx", provider="cpu").manifest.license == "MIT"
    checked = CliRunner().invoke(birdwatch, ["model", "check", "crows", "--provider", "cpu"])
    assert checked.exit_code == 0, checked.output


def test_a_second_sigmoid_is_warned_of(tmp_path: Path, labels: Path) -> None:
    network = foreign(tmp_path / "f.onnx", end="Sigmoid", second=False)
    assert "wrap it again with --activation none" in wrap(network, labels, out=tmp_path / "o.onnx")


@pytest.mark.parametrize(
    ("form", "arguments", "reason"),
    [
        ({}, [], r"several outputs; choose the one with the scores with --scores: embedding .*, label"),
        ({}, ["--scores", "logits"], "no output 'logits'; it has embedding"),
        ({}, ["--scores", "embedding"], "8 classes, .*labels.csv has 5 lines"),
        ({"second": False}, ["--window", "0.25"], "refuses float32 .*2000.*; check --rate, --window"),
        ({"second": False}, ["--window", "0.00001"], "--window is 1e-05 s"),
        ({"second": False}, ["--activation", "none"], "no scores in 0 to 1; say --activation sigmoid"),
        ({"second": False, "mixing": True}, [], "scores change with the windows beside it"),
        ({"second": False, "rank3": True}, [], r"has shape \(1, 1, 4\), expected \(windows, classes\)"),
        ({"second": False}, ["--input", "mel"], r"--input mel needs a network that takes \(n, 1, height, width\)"),
    ],
)
def test_what_cannot_work_is_refused(
    tmp_path: Path, labels: Path, form: dict[str, Any], arguments: list[str], reason: str
) -> None:
    network, out = foreign(tmp_path / "f.onnx", **form), tmp_path / "o.onnx"
    with pytest.raises(BirdwatchError, match=reason):
        wrap(network, labels, *arguments, out=out)
    assert not out.exists()


@pytest.mark.parametrize("content", [b"", b"text, not a network", bytes(range(256))])
def test_what_is_no_network_is_refused(tmp_path: Path, labels: Path, content: bytes) -> None:
    path = tmp_path / "f.onnx"
    path.write_bytes(content)
    with pytest.raises(BirdwatchError, match=r"f.onnx is not an ONNX file"):
        wrap(path, labels, out=tmp_path / "o.onnx")
    with pytest.raises(BirdwatchError, match="cannot be read"):
        wrap(tmp_path / "absent.onnx", labels, out=tmp_path / "o.onnx")


def test_a_network_of_images_takes_birdwatch_s_front_end(tmp_path: Path, tiny_model: Path) -> None:
    bare = onnx.load(tiny_model)
    del bare.metadata_props[:]
    onnx.save(bare, tmp_path / "bare.onnx")
    labels = tmp_path / "l.txt"
    labels.write_text("gretit1\neurrob1\neurbla\n")
    out = tmp_path / "o.onnx"
    line = ["model", "wrap", str(tmp_path / "bare.onnx"), "--labels", str(labels), "--rate", "32000", "--window", "5"]
    line += ["--input", "mel", "--activation", "sigmoid", "--out", str(out)]
    result = CliRunner().invoke(birdwatch, line)
    assert result.exit_code == 0, result.output
    noise = np.random.default_rng(1).normal(0, 0.1, (2, 160000)).astype(np.float32)
    expected = OnnxClassifier(tiny_model, provider="cpu").score(noise)
    np.testing.assert_array_equal(OnnxClassifier(out, provider="cpu").score(noise), expected)
