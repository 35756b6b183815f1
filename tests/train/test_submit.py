import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_model import LABELS, write_tiny_model

from birdwatch.api import analyze, load_model
from birdwatch.errors import ConfigError
from birdwatch.scores.blending import Blending
from train.submit import SubmitOptions, write_submission

CODES = [label.code for label in LABELS]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    (tmp_path / "audio").mkdir()
    for name, seconds in (("a", 20.0), ("b", 12.5)):
        samples = rng.normal(0, 0.1, round(seconds * 32000)) * np.repeat(rng.random(25), round(seconds * 32000) // 25)
        soundfile.write(tmp_path / "audio" / f"{name}.wav", samples, 32000)
    (tmp_path / "audio" / "broken.wav").write_text("not audio")
    write_tiny_model(tmp_path / "one.onnx")
    write_tiny_model(tmp_path / "two.onnx", activation="softmax")
    return tmp_path


def table(path: Path) -> dict[str, np.ndarray]:
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {row["row_id"]: np.array([float(row[code]) for code in CODES]) for row in rows}


def options(folder: Path, *models: str, **changes: object) -> SubmitOptions:
    paths = tuple(folder / name for name in models)
    blending = Blending(models=tuple(map(str, paths[1:])), overlap="mean", row_s=5.0)
    blending = replace(blending, **{name: changes.pop(name) for name in ("kernel", "budget_s") if name in changes})
    return SubmitOptions(paths, folder / "audio", folder / "s.csv", blending, **changes)


def test_rows_are_the_windows_of_a_run_at_a_hop_of_a_row(folder: Path) -> None:
    lines: list[str] = []
    assert write_submission(options(folder, "one.onnx"), say=lines.append) == 1
    found = table(folder / "s.csv")
    assert list(found) == ["a_5", "a_10", "a_15", "a_20", "b_5", "b_10", "b_15"]
    windows = analyze(folder / "audio" / "a.wav", load_model(folder / "one.onnx"), hop_s=5.0).windows
    for number, window in enumerate(windows, start=1):
        np.testing.assert_allclose(found[f"a_{5 * number}"], window.scores, rtol=1e-5)
    assert any("broken.wav" in line for line in lines)


def test_models_are_blended_and_neighbours_smoothed(folder: Path) -> None:
    alone = []
    for name in ("one.onnx", "two.onnx"):
        write_submission(options(folder, name), say=lambda _: None)
        alone.append(table(folder / "s.csv"))
    both = options(folder, "one.onnx", "two.onnx", kernel=(0.2, 0.6, 0.2))
    write_submission(both, say=lambda _: None)
    mean = {name: (alone[0][name] + alone[1][name]) / 2 for name in alone[0]}
    expected = 0.2 * mean["a_5"] + 0.6 * mean["a_10"] + 0.2 * mean["a_15"]
    np.testing.assert_allclose(table(folder / "s.csv")["a_10"], expected, rtol=1e-4)
    np.testing.assert_allclose(table(folder / "s.csv")["b_15"], 0.2 * mean["b_10"] + 0.8 * mean["b_15"], rtol=1e-4)


def test_a_budget_drops_members_and_never_the_submission(folder: Path) -> None:
    now_s = iter(range(0, 10000, 100))  # each look at the clock is 100 s later
    lines: list[str] = []
    given = options(folder, "one.onnx", "two.onnx", budget_s=250.0)
    used = write_submission(given, say=lines.append, clock=lambda: float(next(now_s)))
    assert used == 1
    assert any("the budget leaves no time for two.onnx" in line for line in lines)
    assert len(table(folder / "s.csv")) == 7


def test_the_templates_rows_and_columns_are_kept(folder: Path) -> None:
    (folder / "t.csv").write_text(f"row_id,unknown,{CODES[1]},{CODES[0]},{CODES[2]}\nb_10,0,0,0,0\nc_5,0,0,0,0\n")
    lines: list[str] = []
    write_submission(options(folder, "one.onnx", template=folder / "t.csv"), say=lines.append)
    found = table(folder / "s.csv")
    assert list(found) == ["b_10", "c_5"]
    assert found["b_10"].any()
    assert not found["c_5"].any()
    assert any("1 row of" in line for line in lines)


def test_a_row_has_a_length() -> None:
    options = SubmitOptions((Path("m.onnx"),), Path("a"), Path("o.csv"), Blending())
    with pytest.raises(ConfigError, match="--row-s must be above 0"):
        write_submission(options, say=lambda _: None)
