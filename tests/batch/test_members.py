"""Rows of a competition's table from several models, against one model's scores and slow loops."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from scipy.stats import rankdata
from tiny_model import LABELS, write_tiny_model

from birdwatch.api import analyze
from birdwatch.batch.progress import terminal_view
from birdwatch.batch.request import RunRequest
from birdwatch.batch.run import RunInterrupted, run
from birdwatch.config.schema import Settings
from birdwatch.errors import ConfigError
from birdwatch.scores.blending import Blending
from birdwatch.tables.formats import Output

CODES = [label.code for label in LABELS]
LENGTHS_S = {"a": 20.0, "b": 12.5}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    (tmp_path / "audio").mkdir()
    for name, seconds in LENGTHS_S.items():
        samples = rng.normal(0, 0.1, round(seconds * 32000)) * np.repeat(rng.random(25), round(seconds * 32000) // 25)
        soundfile.write(tmp_path / "audio" / f"{name}.wav", samples, 32000)
    write_tiny_model(tmp_path / "one.onnx")
    write_tiny_model(tmp_path / "two.onnx", activation="softmax")
    waveform: dict[str, Any] = {"input": "waveform", "frontend": None, "activation": "softmax"}
    write_tiny_model(tmp_path / "long.onnx", window_frames=320000, **waveform)
    return tmp_path


def table(folder: Path, *models: str, hop: float = 5.0, clock: Any = None, **blending: Any) -> dict[str, np.ndarray]:
    request = RunRequest(
        recordings=(str(folder / "audio"),),
        outputs=(Output(folder / "s.csv", "kaggle"),),
        settings=Settings(model=folder / models[0], hop=hop),
        blending=Blending(models=tuple(str(folder / name) for name in models[1:]), **blending),
    )
    run(request, notice=lambda line: None, view=terminal_view, **({"clock": clock} if clock else {}))
    with (folder / "s.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert sorted(path.name for path in folder.iterdir() if "journal" in path.name) == []
    return {row["row_id"]: np.array([float(row[code]) for code in CODES]) for row in rows}


def test_overlapping_windows_are_averaged_by_the_time_that_they_share(folder: Path) -> None:
    found = table(folder, "one.onnx", hop=2.0, overlap="mean")
    for name, length_s in LENGTHS_S.items():
        windows = analyze(folder / "audio" / f"{name}.wav", folder / "one.onnx", hop_s=2.0).windows
        for number in range(-(-int(length_s * 10) // 50)):
            total, weight = np.zeros(3), 0.0
            for window in windows:
                start, end = window.start_frame, window.start_frame + window.valid_frames
                shared = max(0, min(end, (number + 1) * 160000) - max(start, number * 160000))
                total, weight = total + shared * window.scores, weight + shared
            np.testing.assert_allclose(found[f"{name}_{(number + 1) * 5}"], total / weight, rtol=1e-5)


def test_all_models_rows_are_blended_and_then_smoothed(folder: Path) -> None:
    one, two = table(folder, "one.onnx"), table(folder, "two.onnx")
    assert list(one) == ["a_5", "a_10", "a_15", "a_20", "b_5", "b_10", "b_15"]
    for name, row in table(folder, "one.onnx", "two.onnx").items():
        np.testing.assert_allclose(row, (one[name] + two[name]) / 2, rtol=1e-5)
    for name, row in table(folder, "one.onnx", "two.onnx", how="power", power=3.0).items():
        np.testing.assert_allclose(row, ((one[name] ** 3 + two[name] ** 3) / 2) ** (1 / 3), rtol=1e-5)
    ranks = [rankdata(np.stack(list(scores.values())), axis=0) for scores in (one, two)]
    for row, rank in zip(
        table(folder, "one.onnx", "two.onnx", how="rank").values(), np.mean(ranks, axis=0), strict=True
    ):
        np.testing.assert_allclose(row, (rank - 0.5) / 7, rtol=1e-5)
    smooth = table(folder, "one.onnx", "two.onnx", kernel=(0.2, 0.6, 0.2))
    mean = {name: (one[name] + two[name]) / 2 for name in one}
    np.testing.assert_allclose(smooth["a_10"], 0.2 * mean["a_5"] + 0.6 * mean["a_10"] + 0.2 * mean["a_15"], rtol=1e-4)
    np.testing.assert_allclose(smooth["b_15"], 0.2 * mean["b_10"] + 0.8 * mean["b_15"], rtol=1e-4)


def test_models_of_other_windows_give_the_same_rows(folder: Path) -> None:
    one = table(folder, "one.onnx")
    long = table(folder, "long.onnx", overlap="mean", row_s=5.0)
    windows = analyze(folder / "audio" / "a.wav", folder / "long.onnx", hop_s=5.0).windows
    np.testing.assert_allclose(long["a_10"], (windows[0].scores + windows[1].scores) / 2, rtol=1e-5)
    both = table(folder, "one.onnx", "long.onnx", overlap="mean")
    assert list(both) == list(one)
    np.testing.assert_allclose(both["a_10"], (one["a_10"] + long["a_10"]) / 2, rtol=1e-5)


def test_a_budget_drops_models_and_never_the_table(folder: Path) -> None:
    one, both = table(folder, "one.onnx"), table(folder, "one.onnx", "two.onnx")
    for budget_s, expected in ((250.0, one), (450.0, both)):
        now_s = iter(range(0, 10000, 100))  # each look at the clock is 100 s later
        found = table(folder, "one.onnx", "two.onnx", budget_s=budget_s, clock=lambda: float(next(now_s)))  # noqa: B023
        for name, row in found.items():
            np.testing.assert_array_equal(row, expected[name])


def test_models_with_other_labels_are_refused_before_anything_is_scored(folder: Path) -> None:
    write_tiny_model(folder / "other.onnx", labels=LABELS[:2])
    with pytest.raises(ConfigError, match="other labels"):
        table(folder, "one.onnx", "other.onnx")
    with pytest.raises(ConfigError, match="window"):
        table(folder, "long.onnx", "one.onnx", hop=10.0)


def test_a_run_of_several_models_is_resumed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = table(folder, "one.onnx", "two.onnx")
    request = RunRequest(
        recordings=(str(folder / "audio"),),
        outputs=(Output(folder / "s.csv", "kaggle"),),
        settings=Settings(model=folder / "one.onnx", hop=5.0),
        blending=Blending(models=(str(folder / "two.onnx"),)),
    )
    views = 0

    def view(meter: Any) -> Any:
        nonlocal views
        views += 1
        if views == 2:
            raise KeyboardInterrupt
        return terminal_view(meter)

    with pytest.raises(RunInterrupted):
        run(request, notice=lambda line: None, view=view)
    summary = run(replace(request, resume=True), notice=lambda line: None, view=terminal_view)
    assert (summary.meter.resumed, summary.models) == (2, 2)
    with (folder / "s.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            np.testing.assert_array_equal([float(row[code]) for code in CODES], expected[row["row_id"]])
