from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy import fft

from birdwatch.model import real_fft
from birdwatch.model.real_fft import pocketfft, rfft_rows


def rows(count: int, size: int) -> np.ndarray:
    return np.random.default_rng(count).normal(0.0, 0.1, (count, size)).astype(np.float32)


def transformed(values: np.ndarray) -> np.ndarray:
    return rfft_rows(values, np.empty((len(values), values.shape[1] // 2 + 1), np.complex64))


@pytest.mark.parametrize(("count", "size"), [(1, 8), (3, 1024), (80, 1024), (313, 1024), (5, 1000)])
def test_it_is_scipys_transform_to_the_bit(count: int, size: int) -> None:
    values = rows(count, size)
    before = values.copy()
    assert np.array_equal(transformed(values), fft.rfft(values, axis=1))
    assert np.array_equal(values, before)


def test_this_scipy_has_the_transform_where_it_is_looked_for() -> None:
    # Where it has not, everything works, but `birdwatch run` starts a third later: look where it went.
    assert pocketfft() is not None


def test_where_it_is_not_scipy_fft_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_fft, "pocketfft", lambda: None)
    values = rows(7, 512)
    assert np.array_equal(transformed(values), fft.rfft(values, axis=1))


def test_scipy_works_after_it() -> None:
    code = (
        "import sys, numpy as np\n"
        "from birdwatch.model.real_fft import rfft_rows\n"
        "x = np.ones((2, 16), np.float32)\n"
        "ours = rfft_rows(x, np.empty((2, 9), np.complex64))\n"
        "assert not any(name.startswith('scipy') for name in sys.modules)\n"
        "from scipy import fft\n"
        "assert np.array_equal(ours, fft.rfft(x)) and fft.rfft(x[0].astype(np.float64)).dtype == np.complex128\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
