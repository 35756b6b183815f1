"""The browser that opens the hub's page, and the two sizes of its window."""

from __future__ import annotations

import shutil
from importlib.util import find_spec

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PHONE, DESK = (390, 844), (1440, 900)

needs_browser = [
    pytest.mark.skipif(BROWSER is None, reason="no chromium here; apt-get install chromium"),
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not installed; pip install playwright"),
]
