import json
from dataclasses import replace
from pathlib import Path

import pytest

from birdwatch.errors import ConfigError
from train.run import fit
from train.settings import Settings, read_toml
from train.student import power_of, round_settings, rounds_table, student


def test_the_powers_are_the_published_ones() -> None:
    assert [power_of(number) for number in (1, 2, 3, 4, 5)] == [1, 1 / 0.65, 1 / 0.55, 1 / 0.6, 1 / 0.6]
    with pytest.raises(ConfigError, match="round is 0"):
        power_of(0)


def test_two_rounds_from_fresh_weights_and_their_table(quick: Settings, birds: Path, tmp_path: Path) -> None:
    first = fit(replace(quick, epochs=1, fold="all"), resume=False, say=lambda _: None, quiet=True)
    soundscapes, lines = birds / "background", list[str]()
    second = student(first, soundscapes, tmp_path / "r1", 1, {}, say=lines.append, quiet=True)
    third = student(second, soundscapes, tmp_path / "r2", 2, {"epochs": 1}, say=lines.append, quiet=True)
    assert any("scores to the power 1.000" in line for line in lines)
    assert any("scores to the power 1.538" in line for line in lines)
    settings = read_toml(third / "config.toml")
    assert (settings["pseudo_prob"], settings["init"], settings["pseudo"]) == (1.0, "", str(third / "pseudo.csv"))
    table = rounds_table([first, second, third])
    assert len(table) == 5
    figure = json.loads((third / "metrics.json").read_text())["out_of_fold"]["recording_auc"]
    assert f"{figure:.4f}" in table[-1]
    again = list[str]()
    student(second, soundscapes, third, 2, {"epochs": 1}, say=again.append, quiet=True)
    assert any("exists and is used" in line for line in again)


def test_a_student_does_not_start_from_its_teacher(tmp_path: Path) -> None:
    run = tmp_path / "a"
    (run / "fold0").mkdir(parents=True)
    (run / "config.toml").write_text('clip = "random"\n')
    with pytest.raises(ConfigError, match="students start from new weights"):
        round_settings(run, {"init": str(run / "fold0" / "best.pt")}, tmp_path / "b", tmp_path / "p", tmp_path)
    with pytest.raises(ConfigError, match=r"no config\.toml"):
        round_settings(tmp_path, {}, tmp_path / "b", tmp_path / "p", tmp_path)
