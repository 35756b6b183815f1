"""Audio without NaN and infinity: what is not finite is cut out and leaves a gap, so that no window spans it."""

from __future__ import annotations

import numpy as np

from birdwatch.audio.types import AudioBlock

__all__ = ["finite_runs"]


def finite_runs(block: AudioBlock) -> list[AudioBlock]:
    """The stretches of `block` in which every sample is finite, in order; `block` itself where all are.

    They do not depend on how a stream is cut into blocks: neighbouring stretches of two blocks have consecutive frames.
    """
    finite = np.isfinite(block.samples)
    if finite.all():
        return [block] if len(block.samples) else []
    edges = np.flatnonzero(np.diff(np.concatenate(([False], finite, [False])).astype(np.int8)))  # start, end, start ...
    return [
        AudioBlock(block.samples[start:end], block.start_frame + int(start), block.rate_hz)
        for start, end in edges.reshape(-1, 2)
    ]
