from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from birdwatch.model.classifier import OnnxClassifier
from export import report
from export.__main__ import main
from export.verify import Kind


@pytest.fixture
def checkpoint(folds: list[Path]) -> Path:
    return folds[0]


def test_export_as_a_user_types_it(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, keep, fields = tmp_path / "bird.onnx", tmp_path / "keep.txt", tmp_path / "card.json"
    keep.write_text("bird0\nbird3\n\n")
    fields.write_text(
        json.dumps({"name": "garden", "thresholds": {"bird3": 0.7}, "provenance": {"recordists": ["A", "B"]}})
    )
    options = ["--fused", "--storage", "fp16", "--keep-labels", str(keep), "--manifest", str(fields)]
    assert main([str(checkpoint), "--out", str(out), *options]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{out}: garden, 2 labels, fused, stored as fp16, ")
    manifest = OnnxClassifier(out, provider="cpu").manifest
    assert (manifest.name, manifest.codes, manifest.input) == ("garden", ("bird0", "bird3"), "waveform")
    assert manifest.thresholds == {"bird3": 0.7}
    assert manifest.provenance["recordists"] == ["A", "B"]
    assert manifest.provenance["training_data"] == "0123456789abcdef"


def test_report_has_a_row_for_every_kind(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "KINDS", (Kind(), Kind(precision="fp16"), Kind(fused=True)))
    assert main([str(checkpoint), "--report"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")][2:]
    assert [row[0] for row in rows] == [
        "fp32",
        "fp16 for CUDA",
        "fused",
    ]
    for row in rows:
        assert float(row[2]) > 0.1
        assert float(row[3]) > 0
        assert float(row[4]) > 0
        assert float(row[5].split()[0]) <= float(row[5].split()[2].strip(")"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--opset", "9"], "opset is 9, this version exports 18 to"),
        (["--keep-labels", "absent.txt"], "--keep-labels absent.txt is neither a number nor a readable file"),
        (["--audio", "absent.wav"], "absent.wav"),
        (["--manifest", "absent.json"], "absent.json cannot be read"),
        (["--ensemble", "absent.pt"], "absent.pt cannot be read"),
        (["--average", "absent.onnx"], "need checkpoints, not an .onnx model"),
    ],
)
def test_wrong_options_are_refused_in_one_line(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert main([str(checkpoint), "--out", str(tmp_path / "bird.onnx"), *options]) == 1
    message = capsys.readouterr().err
    assert said in message
    assert message.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_ensemble_is_named_with_its_option_alone(folds: list[Path], tmp_path: Path) -> None:
    assert main(["--ensemble", *map(str, folds), "--out", str(tmp_path / "bird.onnx")]) == 0
    provenance = OnnxClassifier(tmp_path / "bird.onnx", provider="cpu").manifest.provenance
    assert provenance["combined"] == "ensemble"
    assert len(provenance["checkpoints"]) == len(folds)


def test_wrong_usage_exits_with_2(checkpoint: Path, tmp_path: Path) -> None:
    for options in ([], [str(checkpoint)], [str(checkpoint), "--report", "--out", str(tmp_path / "x.onnx")]):
        with pytest.raises(SystemExit) as caught:
            main(options)
        assert caught.value.code == 2


def test_help_imports_no_torch() -> None:
    code = "import sys; from export.__main__ import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "print([m for m in ('torch', 'onnx', 'timm', 'onnxruntime') if m in sys.modules])"
    root = Path(__file__).parents[2]
    told = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "[]"
    assert "--fused" in told.stdout
