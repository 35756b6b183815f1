"""The values of the core: immutable, with positions in audio frames, the only clock inside.

Seconds and UTC appear at the edges only: a frame number times a rate is exact, summed milliseconds drift.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "AudioBlock",
    "FloatArray",
    "Gap",
    "Window",
]

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class AudioBlock:
    """Consecutive mono samples of one stream.

    samples: float32 `(n,)`, full scale +-1. start_frame: frames since the stream began, at `rate_hz`.
    """

    samples: FloatArray
    start_frame: int
    rate_hz: int

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype != np.float32:
            raise ValueError(f"a block's samples must be float32 (n,); got {self.samples.dtype} {self.samples.shape}")

    @property
    def end_frame(self) -> int:
        """The frame after the last one."""
        return self.start_frame + len(self.samples)


@dataclass(frozen=True, slots=True)
class Gap:
    """Frames that were never captured, or were lost: `[start_frame, start_frame + frames)`."""

    start_frame: int
    frames: int
    reason: str


@dataclass(frozen=True, slots=True)
class Window:
    """The input of the network: float32 `(window_frames,)` at the model's rate.

    Only the first `valid_frames` are audio; the tail of a recording is padded with zeros.
    """

    samples: FloatArray
    start_frame: int
    valid_frames: int
