"""A short run of `make chaos`: the script itself works, and a station is unharmed after a few attacks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sound_server import missing

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_a_station_is_unharmed_after_a_few_attacks() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "chaos.py"), "--seconds", "15", "--seed", "3"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout.endswith("chaos: unharmed\n"), done.stdout + done.stderr
    assert done.returncode == 0
