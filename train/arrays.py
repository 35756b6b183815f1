"""Arrays on the disk, opened once and kept open: their headers are not read again for each window."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["opened"]

# Each holds a descriptor, of which a process has 1024 as a rule.
KEPT = 256


def opened(path: Path) -> npt.NDArray[Any]:
    """The array in `path`, memory-mapped. Raises OSError or ValueError where it cannot be had."""
    state = path.stat()
    return _opened(path, state.st_ino, state.st_mtime_ns)


@lru_cache(maxsize=KEPT)
def _opened(path: Path, inode: int, modified_ns: int) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = np.load(path, mmap_mode="r")
    return array
