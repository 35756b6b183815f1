"""What a run gave: out-of-fold scores, metrics, thresholds, the table of the classes, curves and a short report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .folds import Split
from .gather import Data
from .settings import Settings

__all__ = ["report"]


def report(settings: Settings, data: Data, parts: Split, out: Path, *, say: Callable[[str], None]) -> None:
    """Write the run folder's report from what its folds left there."""
