"""Loads batches ahead of training, in processes that persist over the epochs of a fold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch.utils.data import DataLoader

from .settings import Settings
from .windows import Draw, Windows

__all__ = ["Loader", "batches_of", "load_batches"]

# Batches that each process loads ahead, so that a slow disk does not delay the device.
AHEAD = 4


def batches_of(draws: Sequence[Draw], size: int) -> list[list[Draw]]:
    """The draws in batches of `size`, the last one as small as it comes."""
    batches = [list(draws[i : i + size]) for i in range(0, len(draws), size)]
    # A batch of one has no variance for the batch normalisation to divide by.
    if len(batches) > 1 and len(batches[-1]) == 1:
        alone = batches.pop()
        batches[-1] += alone
    return batches


class Loader:
    """Batches of windows, loaded by `workers` processes that stay from epoch to epoch; 0: in this process.

    The processes get the windows once. Give it up to end them.
    """

    def __init__(self, windows: Windows, *, workers: int, pinned: bool) -> None:
        self._batches: list[list[Draw]] = []
        # The loader iterates over this very list at the beginning of each epoch.
        self._loader: DataLoader[dict[str, torch.Tensor]] = DataLoader(
            windows,
            batch_sampler=self._batches,
            num_workers=workers,
            pin_memory=pinned,
            prefetch_factor=AHEAD if workers else None,
            persistent_workers=workers > 0,
            # One of its own: torch's gives the same numbers to the network however often the loader has begun.
            generator=torch.Generator(),
        )

    def load(self, batches: Sequence[list[Draw]]) -> Iterator[Mapping[str, torch.Tensor]]:
        """An epoch's batches in their order. The processes begin at once, before the first batch is asked for."""
        self._batches[:] = batches
        return iter(self._loader)


def load_batches(windows: Windows, settings: Settings, device: torch.device) -> Loader:
    """The loader of a fold, with memory that CUDA copies from without waiting."""
    return Loader(windows, workers=settings.workers, pinned=device.type == "cuda")
