"""Products with a sparse matrix: right, and the same bits for a column wherever it stands."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.sparse import csr_array

from birdwatch.model import sparse_product
from birdwatch.model.sparse_product import SparseMatrix, sparsetools


def sparse(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    values = rng.normal(size=(rows, columns)) * (rng.random((rows, columns)) < 0.1)
    values[rows // 2] = 0.0  # an empty row
    return values.astype(np.float32)


def product(matrix: np.ndarray, columns: np.ndarray) -> np.ndarray:
    out = np.full((len(matrix), columns.shape[1]), np.nan, np.float32)
    SparseMatrix(matrix).product(columns, out)
    return out


@pytest.mark.parametrize(("rows", "between", "count"), [(1, 1, 1), (5, 9, 3), (128, 446, 80), (40, 128, 81)])
def test_it_is_the_product_of_double_precision(rows: int, between: int, count: int) -> None:
    rng = np.random.default_rng(rows)
    matrix, columns = sparse(rng, rows, between), rng.normal(size=(between, count)).astype(np.float32)
    expected = matrix.astype(np.float64) @ columns.astype(np.float64)
    np.testing.assert_allclose(product(matrix, columns), expected, rtol=1e-5, atol=1e-5)


def test_a_column_has_the_same_bits_wherever_it_stands() -> None:
    rng = np.random.default_rng(3)
    matrix, columns = sparse(rng, 128, 446), rng.normal(size=(446, 80)).astype(np.float32)
    found = product(matrix, columns)
    for step in range(1, 80):
        rolled = product(matrix, np.ascontiguousarray(np.roll(columns, step, axis=1)))
        assert np.array_equal(np.roll(rolled, -step, axis=1), found), step
    for count in (1, 2, 3, 7, 33):
        assert np.array_equal(product(matrix, np.ascontiguousarray(columns[:, :count])), found[:, :count])


def test_this_scipy_has_the_product_where_it_is_looked_for() -> None:
    # Where it has not, everything works, but `birdwatch run` starts a third later: look where it went.
    assert sparsetools() is not None


def test_where_it_is_not_scipy_sparse_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    matrix, columns = sparse(rng, 20, 50), rng.normal(size=(50, 80)).astype(np.float32)
    found = product(matrix, columns)
    monkeypatch.setattr(sparse_product, "sparsetools", lambda: None)
    assert np.array_equal(product(matrix, columns), found)
    assert np.array_equal(found, csr_array(matrix) @ columns)


def test_scipy_works_after_it() -> None:
    code = (
        "import sys, numpy as np\n"
        "from birdwatch.model.sparse_product import SparseMatrix\n"
        "matrix, columns = np.eye(3, dtype=np.float32), np.ones((3, 2), np.float32)\n"
        "out = np.empty((3, 2), np.float32)\n"
        "SparseMatrix(matrix).product(columns, out)\n"
        "assert not any(name.startswith('scipy') for name in sys.modules)\n"
        "from scipy.sparse import csr_array\n"
        "assert np.array_equal(out, csr_array(matrix) @ columns)\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
