"""SciPy's transform of real float32 rows, without importing `scipy.fft`.

It is one compiled module, PocketFFT, which needs nothing else. Where this SciPy has it elsewhere, `scipy.fft` is
imported after all: the numbers are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt

from birdwatch.model.scipy_parts import compiled

__all__ = ["pocketfft", "rfft_rows"]

Complex = npt.NDArray[np.complex64]
Transform = Callable[[npt.NDArray[np.float32], Complex], object]


def rfft_rows(rows: npt.NDArray[np.float32], out: Complex) -> Complex:
    """The transforms of real `rows` `(n, size)` into `out` `(n, size // 2 + 1)`, which is returned."""
    (pocketfft() or _by_scipy)(rows, out)
    return out


@cache
def pocketfft() -> Transform | None:
    """The compiled transform if it answers as `numpy.fft` does, or None."""
    module = compiled("fft._pocketfft.pypocketfft")
    try:
        r2c = module.r2c  # type: ignore[union-attr]

        def transform(rows: npt.NDArray[np.float32], out: Complex) -> None:
            # Axes, forwards, without a factor, result, threads.
            r2c(rows, (1,), True, 0, out, 1)

        rows = np.linspace(-1.0, 1.0, 16, dtype=np.float32).reshape(2, 8) ** 3
        out = np.zeros((2, 5), np.complex64)
        transform(rows, out)
    except (AttributeError, TypeError, ValueError):
        return None
    return transform if np.allclose(out, np.fft.rfft(rows, axis=1), atol=1e-6) else None


def _by_scipy(rows: npt.NDArray[np.float32], out: Complex) -> None:
    from scipy import fft

    out[:] = fft.rfft(rows, axis=1)
