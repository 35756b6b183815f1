"""The counter of instructions: each stage can be run, and what it reports is what one more time costs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from birdwatch.bench.recording import write_recordings
from birdwatch.bench.report import Report

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def instructions() -> ModuleType:
    sys.path.insert(0, str(FOLDER))
    try:
        spec = importlib.util.spec_from_file_location("instructions", FOLDER / "instructions.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(FOLDER))
    return module


def test_every_stage_runs(instructions: ModuleType, tmp_path: Path) -> None:
    write_recordings(tmp_path, 10.0)
    for make, windows in instructions.STAGES.values():
        assert windows > 0
        make(tmp_path)()


def test_a_stage_costs_what_one_more_time_adds(instructions: ModuleType, monkeypatch, tmp_path: Path) -> None:
    # 7 M for the start, 4 M a time, 4 windows a time.
    monkeypatch.setattr(instructions, "counted", lambda arguments: 7_000_000 + 4_000_000 * int(arguments[2]))
    measure = instructions.stage("mel", 4, tmp_path)
    assert (measure.name, measure.value, measure.better) == ("stage.mel", 1.0, "lower")


def test_valgrinds_sum_is_read(instructions: ModuleType, monkeypatch) -> None:
    said = subprocess.CompletedProcess([], 0, "", "==1== \n==1== I   refs:      1,234,567,890\n")
    monkeypatch.setattr(instructions.subprocess, "run", lambda *_, **__: said)
    assert instructions.counted(["-c", "pass"]) == 1_234_567_890


def test_the_baseline_has_every_stage_and_start(instructions: ModuleType) -> None:
    report = Report.from_json((FOLDER / "results" / "instructions.json").read_text(encoding="utf-8"))
    names = [f"stage.{name}" for name in instructions.STAGES] + [f"start.{name}" for name in instructions.STARTS]
    assert [measure.name for measure in report.measures] == names


def test_without_valgrind_it_says_how_to_get_it(instructions: ModuleType, monkeypatch) -> None:
    monkeypatch.setattr(instructions.shutil, "which", lambda _: None)
    done = CliRunner().invoke(instructions.main, [])
    assert (done.exit_code, done.output) == (1, "Error: valgrind is missing; apt-get install valgrind\n")
