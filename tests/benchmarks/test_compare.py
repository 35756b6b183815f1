from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from click.testing import CliRunner

from birdwatch.bench.report import Measure, Report

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "compare.py"


@pytest.fixture(scope="module")
def compare():
    spec = importlib.util.spec_from_file_location("compare", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def written(path: Path, *measures: Measure, machine: str = "m") -> str:
    path.write_text(Report("t", {"machine": machine}, measures).json())
    return str(path)


def test_ratios_above_one_are_better_whichever_way_a_figure_counts(compare, tmp_path):
    before = written(tmp_path / "a", Measure("speed", 100, "x", "higher"), Measure("time", 2, "s", "lower"))
    after = written(tmp_path / "b", Measure("speed", 150, "x", "higher"), Measure("time", 1, "s", "lower"))
    result = CliRunner().invoke(compare, [before, after])
    assert result.exit_code == 0
    assert [line.split()[-1] for line in result.output.splitlines()] == ["1.50", "2.00"]


def test_a_regression_is_named_and_fails(compare, tmp_path):
    before = written(tmp_path / "a", Measure("speed", 100, "x", "higher"), Measure("time", 2, "s", "lower"))
    after = written(tmp_path / "b", Measure("speed", 95, "x", "higher"), Measure("time", 3, "s", "lower"), machine="n")
    result = CliRunner().invoke(compare, [before, after])
    assert result.exit_code == 1
    assert "not the same machine: m | n" in result.output
    assert [line for line in result.output.splitlines() if line.endswith("worse")] == [
        f"{'time':<5}  {'2 s':>20}  {'3 s':>20}    0.67  worse"
    ]
    assert "1 of 2 figures are worse" in result.output
    assert CliRunner().invoke(compare, [before, after, "--limit", "1.6"]).exit_code == 0


def test_figures_of_peers_and_of_one_side_only_fail_nothing(compare, tmp_path):
    before = written(tmp_path / "a", Measure("peer", 100, "x", "-"), Measure("old", 1, "s", "lower"))
    after = written(tmp_path / "b", Measure("peer", 1, "x", "-"), Measure("new", 1, "s", "lower"))
    result = CliRunner().invoke(compare, [before, after])
    assert result.exit_code == 0
    assert "only before" in result.output
    assert "only after" in result.output


@pytest.mark.parametrize("text", ["", "[1]", '{"schema": 99, "setting": {}, "measures": []}', '{"schema": 1}'])
def test_other_files_are_refused_in_one_line(compare, tmp_path, text):
    (tmp_path / "odd").write_text(text)
    good = written(tmp_path / "a", Measure("speed", 100, "x", "higher"))
    result = CliRunner().invoke(compare, [good, str(tmp_path / "odd")])
    assert result.exit_code == 1
    assert "is not what `birdwatch bench --json` writes" in result.output
    assert len(result.output.splitlines()) == 1
