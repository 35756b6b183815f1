"""Fills the mel cache: recordings in parallel, each at most once, broken ones listed."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from birdwatch.audio.file import AudioFile
from birdwatch.audio.resample import Resampler
from birdwatch.audio.types import FloatArray
from birdwatch.errors import DecodeError

from .cache import MelCache
from .dataset import Recording
from .progress import tracked

__all__ = ["prepare", "read_audio"]


def read_audio(path: Path, rate_hz: int) -> FloatArray:
    """All samples of a file, float32 `(n,)` mono at `rate_hz`, as the daemon reads them; raises DecodeError."""
    file = AudioFile(path)
    resampler = Resampler(file.rate_hz, rate_hz)
    blocks = [out for block in file.blocks() for out in resampler.push(block)] + resampler.finish()
    return np.concatenate([block.samples for block in blocks])


def prepare(
    cache: MelCache, recordings: Sequence[Recording], *, workers: int = 0, quiet: bool = False
) -> tuple[list[Path], list[str]]:
    """Make what the cache lacks; returns each recording's array and a line for each that is missing or broken.

    The arrays are in the order of `recordings`. workers: threads (the work is done outside Python's lock); 0 is one a
    processor. What is there already is not made again, so an interrupted run is resumed.
    """
    arrays: list[Path] = []
    faults: list[str] = []
    wanted: dict[Path, Path] = {}
    for recording in recordings:
        try:
            array = cache.path_of(recording.path, recording.filename)
        except OSError as error:
            faults.append(f"{recording.path}: {error.strerror}")
            array = Path()
        else:
            if not array.exists():
                wanted[array] = recording.path
        arrays.append(array)

    def make(array: Path) -> None:
        cache.write(array, read_audio(wanted[array], cache.spec.rate_hz))

    pool = ThreadPoolExecutor(workers or None)
    try:
        made = as_completed([pool.submit(make, array) for array in wanted])
        for future in tracked(made, len(wanted), "mel spectrograms", quiet=quiet):
            try:
                future.result()
            except DecodeError as error:
                faults.append(str(error))
    finally:
        pool.shutdown(cancel_futures=True)
    return arrays, sorted(faults)
