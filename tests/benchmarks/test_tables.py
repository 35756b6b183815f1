from __future__ import annotations

import importlib.util
from pathlib import Path

from click.testing import CliRunner

from birdwatch.bench.report import Measure, Report

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


def tables():
    spec = importlib.util.spec_from_file_location("tables", FOLDER / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_has_a_place_for_each_benchmark():
    text = (FOLDER / "README.md").read_text()
    for name in tables().commands(None, 10.0):
        assert text.count(f"<!-- {name} -->") == text.count(f"<!-- end of {name} -->") == 1


def test_the_readme_shows_the_results_that_lie_beside_it():
    text = (FOLDER / "README.md").read_text()
    for path in (FOLDER / "results").glob("*.json"):
        assert Report.from_json(path.read_text()).table() in text


def test_a_result_replaces_its_table_and_nothing_else(tmp_path, monkeypatch):
    module = tables()
    monkeypatch.setattr(module, "README", tmp_path / "README.md")
    monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    (tmp_path / "results").mkdir()
    report = Report("t", {"machine": r"\1 odd"}, (Measure("a.b", 1.0, "s", "lower"),))
    (tmp_path / "results" / "bench.json").write_text(report.json())
    (tmp_path / "README.md").write_text("before\n<!-- bench -->\nold\n<!-- end of bench -->\nafter\n")
    for _ in range(2):
        assert CliRunner().invoke(module.main, ["--only", "none"], catch_exceptions=False).exit_code == 0
        shown = (tmp_path / "README.md").read_text()
        table = Report.from_json(report.json()).table()
        assert shown == f"before\n<!-- bench -->\n```\n{table}\n```\n<!-- end of bench -->\nafter\n"
