from __future__ import annotations

from pathlib import Path

import pytest
from dataset_season import write


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A dataset of a made-up season."""
    return write(tmp_path / "detections")
