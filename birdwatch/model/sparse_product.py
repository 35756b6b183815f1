"""The product of a sparse matrix and columns, each summed in the same order wherever it stands.

A BLAS has several kernels for one product, and which of them a column meets depends on its place: they round
differently. SciPy's sparse product adds one weighted row after another to all columns at once. It is taken without
importing `scipy.sparse`; where this SciPy has it elsewhere, that is imported after all: the numbers are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from birdwatch.model.scipy_parts import compiled

__all__ = ["SparseMatrix", "sparsetools"]

FloatArray = npt.NDArray[np.float32]


class SparseMatrix:
    """A float32 matrix `(m, n)` by its non-zeros, row by row."""

    def __init__(self, matrix: FloatArray) -> None:
        self.shape = matrix.shape
        rows, columns = np.nonzero(matrix)
        self._starts = np.searchsorted(rows, np.arange(len(matrix) + 1)).astype(np.int32)
        self._columns = columns.astype(np.int32)
        self._weights = np.ascontiguousarray(matrix[rows, columns])

    def product(self, columns: FloatArray, out: FloatArray) -> None:
        """Write the product with `columns` `(n, count)` into `out` `(m, count)`, both contiguous."""
        out.fill(0.0)
        multiply = sparsetools()
        if multiply is None:
            from scipy.sparse import csr_array

            out += np.asarray(csr_array((self._weights, self._columns, self._starts), shape=self.shape) @ columns)
        else:
            by_row = (self._starts, self._columns, self._weights)
            multiply(*self.shape, columns.shape[1], *by_row, columns.reshape(-1), out.reshape(-1))


@cache
def sparsetools() -> Callable[..., Any] | None:
    """SciPy's `csr_matvecs`, which adds to its last argument, if it answers rightly, or None."""
    module = compiled("sparse._sparsetools")
    out = np.zeros(4, np.float32)
    try:
        multiply: Callable[..., Any] = module.csr_matvecs  # type: ignore[union-attr]
        starts, columns = np.array([0, 2, 3], np.int32), np.array([0, 2, 1], np.int32)
        weights = np.array([1, 2, 3], np.float32)
        multiply(2, 3, 2, starts, columns, weights, np.arange(6, dtype=np.float32), out)
    except (AttributeError, TypeError, ValueError):
        return None
    return multiply if out.tolist() == [8.0, 11.0, 6.0, 9.0] else None
