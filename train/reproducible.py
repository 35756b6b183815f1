"""Makes a run reproducible, and records its environment."""

from __future__ import annotations

import os
import platform
import random
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

__all__ = ["git_commit", "provenance", "seed_everything"]

PACKAGES = ("birdwatch", "torch", "timm", "numpy", "scipy", "scikit-learn", "pandas", "soundfile", "soxr")


def seed_everything(*seeds: int) -> None:
    """Seed every generator, and have cuDNN and cuBLAS choose the same kernels each time."""
    seed = int(np.random.SeedSequence(seeds).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - a library may draw from NumPy's global generator
    torch.manual_seed(seed)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def provenance() -> dict[str, Any]:
    """The command, git commit (None outside a checkout), versions and machine of this run, as plain values."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "command": sys.argv,
        "git_commit": git_commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions,
        "cuda": torch.version.cuda,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
    }


def git_commit() -> str | None:
    """The commit of the checkout that this file lies in, `-dirty` if it was changed since."""
    folder = Path(__file__).parent
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--match="]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
