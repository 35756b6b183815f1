"""Compiled modules of SciPy without the packages around them."""

from __future__ import annotations

import pytest

from birdwatch.model import scipy_parts
from birdwatch.model.scipy_parts import compiled


def test_a_module_that_is_not_there_is_none(tmp_path) -> None:
    assert scipy_parts._loaded("scipy.absent", tmp_path / "absent.so") is None
    assert compiled("sparse._elsewhere") is None


def test_a_file_that_is_no_module_is_none(tmp_path) -> None:
    (tmp_path / "text.so").write_text("no library")
    assert scipy_parts._loaded("scipy.text", tmp_path / "text.so") is None


def test_without_scipy_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scipy_parts, "find_spec", lambda name: None)
    assert compiled("sparse._sparsetools") is None
