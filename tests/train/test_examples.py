"""The published notebooks as scripts, one after another on the tiny data set, and the miniature competition."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from birdwatch.api import analyze
from examples.miniature import kept_aside

CODES = ("lowbird", "midbird", "highbird")
ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


def example(name: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", f"examples.{name}", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_from_recordings_to_a_submission(birds: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    shutil.copytree(birds, data)
    (data / "test_soundscapes").mkdir()
    for name, source in (("dawn", "lowbird/XC02"), ("dusk", "highbird/XC22")):
        shutil.copy(data / "train_audio" / f"{source}.wav", data / "test_soundscapes" / f"{name}.wav")
    assert "18 mel spectrograms" in example("preprocessing", data, out)
    with np.load(out / "images.npz") as images:
        assert len(images.files) == 18
        assert images["lowbird-XC00"].shape == (256, 256)
        # The whistle at 1500 Hz lies below the middle, the one at 9000 Hz above it.
        heights = [int(images[name].mean(axis=1).argmax()) for name in ("lowbird-XC01", "highbird-XC21")]
        assert heights[0] < 128 < heights[1]
    assert (out / "images.png").stat().st_size > 1000
    example("training", data, out, "--debug", "--arch", "test_efficientnet", "--folds", "3")
    assert "4 rows by 1 networks" in example("inference", data, out)
    rows = rows_of(out / "submission.csv")
    assert [row["row_id"] for row in rows] == ["dawn_5", "dawn_10", "dusk_5", "dusk_10"]
    model = out / "run" / "fold0" / "best.onnx"
    first, second = analyze(data / "test_soundscapes" / "dawn.wav", model, hop_s=5.0).windows
    expected = 0.9 * first.scores + 0.1 * second.scores
    np.testing.assert_allclose([float(rows[0][code]) for code in CODES], expected, atol=1e-5)


def test_soundscapes_are_of_recordists_that_are_not_trained_on() -> None:
    rows = [{"filename": f"{i}", "author": author} for i, author in enumerate("aaaabbcd")]
    aside, inside = kept_aside(rows)
    assert [row["author"] for row in aside] == ["b", "b", "c", "d"]
    assert [row["author"] for row in inside] == ["a"] * 4
    one = [{"filename": f"{i}", "author": "a"} for i in range(4)]
    assert kept_aside(one) == ([one[0], one[3]], [one[1], one[2]]), "one recordist: by recording"


def test_a_miniature_is_laid_out_as_the_competition(birds: Path, tmp_path: Path) -> None:
    said = example("miniature", birds, tmp_path / "mini", "--classes", "2", "--minutes", "1")
    assert "of 2 classes, 1 minutes of soundscapes" in said
    mini = tmp_path / "mini"
    rows, truth, times = (rows_of(mini / name) for name in ("train.csv", "truth.csv", "times.csv"))
    assert all((mini / "train_audio" / row["filename"]).is_file() for row in rows)
    assert [row["row_id"] for row in truth] == [f"test_00_{end}" for end in range(5, 65, 5)]
    assert [row["row_id"] for row in rows_of(mini / "sample_submission.csv")] == [row["row_id"] for row in truth]
    for number, row in enumerate(truth):
        present = {
            item["label"]
            for item in times
            if min(float(item["end_s"]), 5 * number + 5) - max(float(item["start_s"]), 5 * number) >= 0.25
        }
        assert {name for name, value in row.items() if value == "1"} == present
    assert (mini / "train_soundscapes" / "train_00.flac").is_file()
