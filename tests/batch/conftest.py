"""Fixtures of the tests of runs."""

from __future__ import annotations

import fsspec
import pytest


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()
