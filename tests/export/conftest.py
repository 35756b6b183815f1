"""What the tests of export share: building a network and its graph takes seconds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_checkpoint import write_checkpoint

from export.source import Source, from_checkpoints

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def folds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Checkpoints of two folds."""
    folder = tmp_path_factory.mktemp("folds")
    return [write_checkpoint(folder / f"fold{seed}.pt", seed) for seed in range(2)]


@pytest.fixture(scope="session")
def source(folds: list[Path]) -> Source:
    """The first fold's network as a graph."""
    return from_checkpoints(folds[:1])
