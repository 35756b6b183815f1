"""A copy of the package without the rooms that docs/architecture.md calls removable still scores and lists models."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]


def test_what_is_left_works_without_the_removable_rooms(tmp_path: Path, tiny_model: Path) -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    rooms = re.findall(r"^\| `(\w+)/` \|", text.split("### Which rooms can be removed")[1].split("\n## ")[0], re.M)
    assert {"hub", "convert", "cluster"} <= set(rooms)
    assert all((ROOT / "birdwatch" / room / "__init__.py").is_file() for room in rooms)
    shutil.copytree(ROOT / "birdwatch", tmp_path / "birdwatch", ignore=shutil.ignore_patterns("__pycache__"))
    for room in rooms:
        shutil.rmtree(tmp_path / "birdwatch" / room)
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, 160000).astype(np.float32), 32000)

    def call(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert call("-c", "import birdwatch; print(birdwatch.__file__)").startswith(str(tmp_path))
    assert "listen" in call("-m", "birdwatch", "--help")
    assert "--source" in call("-m", "birdwatch", "listen", "--help")
    assert "builtin" in call("-m", "birdwatch", "model", "list")
    call("-m", "birdwatch", "run", "a.wav", "--out", "o.csv", "--model", str(tiny_model))
    assert (tmp_path / "o.csv").read_text().startswith("row_id,class_name,presence\na,")
