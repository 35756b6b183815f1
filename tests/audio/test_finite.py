"""What is not finite is cut out, frame by frame, however a stream is chopped."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from birdwatch.audio.finite import finite_runs
from birdwatch.audio.types import AudioBlock

samples_of = st.lists(st.sampled_from([0.0, 0.5, -1.0, np.nan, np.inf, -np.inf]), max_size=30)


@given(samples_of, st.lists(st.integers(0, 30), max_size=4))
def test_every_finite_frame_is_kept_at_its_place_and_no_other(values: list[float], cuts: list[int]) -> None:
    samples = np.array(values, np.float32)
    edges = [0, *sorted(min(cut, len(samples)) for cut in cuts), len(samples)]
    runs = [run for a, b in pairwise(edges) for run in finite_runs(AudioBlock(samples[a:b], 7 + a, 10))]
    kept = {run.start_frame - 7 + i: float(value) for run in runs for i, value in enumerate(run.samples)}
    assert kept == {i: float(value) for i, value in enumerate(samples) if np.isfinite(value)}
    assert all(len(run.samples) for run in runs)


def test_a_clean_block_is_passed_on_as_it_is() -> None:
    block = AudioBlock(np.ones(5, np.float32), 3, 10)
    assert finite_runs(block) == [block]
