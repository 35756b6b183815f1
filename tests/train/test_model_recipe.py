"""The commands of `make model`, as make prints them, are commands of today with settings that go together."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from train import __main__ as command_line
from train.options import settings_of
from train.settings import Settings

ROOT = Path(__file__).parents[2]


def commands() -> list[list[str]]:
    """Words of each `python -m train ...` of the recipe."""
    # No variables of a make that runs the tests: they name other files.
    done = subprocess.run(
        ["make", "-n", "-B", "runs/model/birdwatch-647.onnx", "ACCEPT_LICENSE=1", "TEST_VENV=none"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": str(Path(shutil.which("make") or "/usr/bin/make").parent) + ":/bin:/usr/bin"},
    )
    lines = done.stdout.replace("\\\n", " ").splitlines()
    return [shlex.split(line.partition(" -m train ")[2]) for line in lines if " -m train " in line]


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
def test_each_command_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = commands()
    assert [words[0] for words in found] == ["teach", "vary", "fit", "head", "card"]
    for name, *words in found:
        command = command_line.train.commands[name]
        values: dict[str, Any] = command.make_context(name, words).params
        if "config" in values:
            config = values.pop("config")
            # `vary` has an --out of its own kind.
            names = {item.name for item in fields(Settings)} - {"out"}
            settings_of({key: value for key, value in values.items() if key in names}, config)
