from __future__ import annotations

from pathlib import Path

import pytest
from section_scoring import scoring_of

from birdwatch.batch.scoring import Scoring


@pytest.fixture(scope="module")
def scoring(tiny_model: Path) -> Scoring:
    return scoring_of(tiny_model)
