from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from train import arrays
from train.arrays import opened


def test_an_array_is_opened_once_and_again_where_it_was_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, beside = tmp_path / "a.npy", tmp_path / "b.npy"
    np.save(path, np.arange(6.0))
    first = opened(path)
    assert isinstance(first, np.memmap)
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("read again"))
    assert opened(path) is first
    monkeypatch.undo()
    np.save(beside, np.arange(3))
    beside.replace(path)
    assert opened(path).tolist() == [0, 1, 2]
    assert first.tolist() == [0, 1, 2, 3, 4, 5], "who has it keeps it"


def test_few_stay_open(tmp_path: Path) -> None:
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("no /proc here")
    before = sum(1 for _ in descriptors.iterdir())
    for number in range(arrays.KEPT + 50):
        np.save(tmp_path / f"{number}.npy", np.zeros(1))
        opened(tmp_path / f"{number}.npy")
    assert sum(1 for _ in descriptors.iterdir()) <= before + arrays.KEPT


def test_a_missing_array_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        opened(tmp_path / "none.npy")
