"""Batches in order, from processes that stay, whatever their number."""

from __future__ import annotations

import os
from collections.abc import Mapping

import pytest
import torch
from torch.utils.data import Dataset

from train.loader import Loader, batches_of
from train.windows import Draw


def draws(count: int, epoch: int = 0) -> list[Draw]:
    return [Draw(epoch, position, position % 3, None) for position in range(count)]


class Said(Dataset[dict[str, torch.Tensor]]):
    """Stands for the windows: says which draw it was asked for, and by which process."""

    def __getitem__(self, draw: Draw) -> dict[str, torch.Tensor]:
        return {"draw": torch.tensor([draw.epoch, draw.position]), "process": torch.tensor(os.getpid())}


def test_no_batch_has_a_single_window_unless_there_is_only_one() -> None:
    assert [len(batch) for batch in batches_of(draws(9), 4)] == [4, 5]
    assert [len(batch) for batch in batches_of(draws(5), 4)] == [5]
    assert [len(batch) for batch in batches_of(draws(10), 4)] == [4, 4, 2]
    assert [len(batch) for batch in batches_of(draws(1), 4)] == [1]
    assert [draw for batch in batches_of(draws(9), 4) for draw in batch] == draws(9)


@pytest.mark.parametrize("workers", [0, 2])
def test_each_epoch_has_its_batches_from_the_same_processes(workers: int) -> None:
    loader = Loader(Said(), workers=workers, pinned=False)  # type: ignore[arg-type]
    processes: list[set[int]] = []
    for epoch, count in ((0, 7), (1, 12), (2, 3)):
        found: list[Mapping[str, torch.Tensor]] = list(loader.load(batches_of(draws(count, epoch), 3)))
        rows = torch.cat([batch["draw"] for batch in found]).tolist()
        assert rows == [[epoch, position] for position in range(count)]
        processes.append({int(number) for batch in found for number in batch["process"]})
    if workers:
        assert os.getpid() not in processes[0]
        assert len(processes[1]) == 2
        assert processes[0] | processes[2] <= processes[1]
    else:
        assert processes == [{os.getpid()}] * 3


def test_loading_draws_nothing_from_torchs_own_generator() -> None:
    loader = Loader(Said(), workers=0, pinned=False)  # type: ignore[arg-type]
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    list(loader.load(batches_of(draws(7), 3)))
    assert torch.equal(torch.rand(4), expected)
