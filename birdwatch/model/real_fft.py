"""SciPy's transform of real float32 rows, without importing `scipy.fft`.

`scipy.fft` loads half of SciPy and takes a quarter of the time that `birdwatch run` needs to start. The transform
itself is one compiled module of it, PocketFFT, which needs nothing else. Where this SciPy has it elsewhere,
`scipy.fft` is imported after all: the numbers are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["pocketfft", "rfft_rows"]

NAME = "scipy.fft._pocketfft.pypocketfft"

Complex = npt.NDArray[np.complex64]
Transform = Callable[[npt.NDArray[np.float32], Complex], object]


def rfft_rows(rows: npt.NDArray[np.float32], out: Complex) -> Complex:
    """The transforms of real `rows` `(n, size)` into `out` `(n, size // 2 + 1)`, which is returned."""
    (pocketfft() or _by_scipy)(rows, out)
    return out


@cache
def pocketfft() -> Transform | None:
    """The compiled transform, or None where SciPy has it in another place or form."""
    found = find_spec("scipy")  # does not import it
    for folder in (found.submodule_search_locations or []) if found else []:
        for suffix in EXTENSION_SUFFIXES:
            path = Path(folder, "fft", "_pocketfft", f"pypocketfft{suffix}")
            if path.exists():
                return _checked(path)
    return None


def _checked(path: Path) -> Transform | None:
    """The transform in a compiled module, if it answers as `numpy.fft` does."""
    loader = ExtensionFileLoader(NAME, str(path))
    spec = spec_from_file_location(NAME, path, loader=loader)
    assert spec is not None
    try:
        module = module_from_spec(spec)
        loader.exec_module(module)
        r2c = module.r2c

        def transform(rows: npt.NDArray[np.float32], out: Complex) -> None:
            # Axes, forwards, without a factor, result, threads.
            r2c(rows, (1,), True, 0, out, 1)

        rows = np.linspace(-1.0, 1.0, 16, dtype=np.float32).reshape(2, 8) ** 3
        out = np.zeros((2, 5), np.complex64)
        transform(rows, out)
    except (ImportError, AttributeError, TypeError, ValueError):
        return None
    return transform if np.allclose(out, np.fft.rfft(rows, axis=1), atol=1e-6) else None


def _by_scipy(rows: npt.NDArray[np.float32], out: Complex) -> None:
    from scipy import fft

    out[:] = fft.rfft(rows, axis=1)
