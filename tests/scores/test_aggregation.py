from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from birdwatch.model.types import WindowScores
from birdwatch.scores.aggregation import Maximum, segment_scores


def scored(start: int, valid: int, *scores: float) -> WindowScores:
    return WindowScores(start, valid, np.array(scores, np.float32))


def test_the_maximum_is_taken_by_class():
    maximum = Maximum(2)
    for window in (scored(0, 10, 0.1, 0.9), scored(5, 10, 0.6, 0.2)):
        maximum.push(window)
    np.testing.assert_array_equal(maximum.scores, np.array([0.6, 0.9], np.float32))
    assert maximum.windows == 2


def test_with_a_hop_of_one_segment_each_segment_is_one_window():
    windows = [scored(10 * i, 10, i / 10) for i in range(4)] + [scored(40, 3, 0.9)]
    np.testing.assert_array_equal(
        segment_scores(windows, segment_frames=10, classes=1)[:, 0], np.array([0, 0.1, 0.2, 0.3, 0.9], np.float32)
    )


@given(hop=st.integers(1, 10), frames=st.integers(1, 60))
def test_a_segment_takes_the_windows_that_lie_in_it_by_half(hop, frames):
    starts = [start for start in range(0, frames, hop) if start == 0 or start - hop + 10 < frames]
    windows = [scored(s, min(10, frames - s), *(np.arange(len(starts)) == i)) for i, s in enumerate(starts)]
    got = segment_scores(windows, segment_frames=10, classes=len(starts))
    expected = []
    for segment in range(-(-frames // 10)):
        frames_of_segment = set(range(10 * segment, 10 * segment + 10))
        expected.append(
            {
                i
                for i, s in enumerate(starts)
                if len(set(range(s, s + 10)) & frames_of_segment) >= 5 and s + windows[i].valid_frames > 10 * segment
            }
        )
    # A last segment of a few frames, in which no window lies by half, is no segment.
    assert [set(np.flatnonzero(row)) for row in got] == [inside for inside in expected if inside]
