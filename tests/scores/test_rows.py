from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdwatch.audio.types import Window
from birdwatch.model.types import WindowScores
from birdwatch.scores.rows import RowMean, rows_of


def window(start: int, frames: int, valid: int) -> Window:
    return Window(np.zeros(frames, np.float32), start, valid)


def test_a_windows_parts_are_rows_without_those_of_padding() -> None:
    scores = np.arange(8, dtype=np.float32).reshape(4, 2)
    rows = rows_of(window(100, 40, 40), scores, 10)
    assert [(row.start_frame, row.valid_frames) for row in rows] == [(100, 10), (110, 10), (120, 10), (130, 10)]
    np.testing.assert_array_equal(np.stack([row.scores for row in rows]), scores)
    assert [(r.start_frame, r.valid_frames) for r in rows_of(window(0, 40, 25), scores, 10)] == [
        (0, 10),
        (10, 10),
        (20, 5),
    ]
    assert [(r.start_frame, r.valid_frames) for r in rows_of(window(0, 40, 20), scores, 10)] == [(0, 10), (10, 10)]


@given(
    st.integers(1, 5),
    st.sampled_from([5, 7, 10, 20]),
    st.integers(1, 90),
    st.lists(st.booleans(), min_size=20, max_size=20),
)
def test_rows_are_the_mean_over_the_windows_that_score_them(
    segments: int, hop: int, frames: int, scored: list[bool]
) -> None:
    length = 10
    rng = np.random.default_rng(segments * 1000 + hop * 100 + frames)
    size = segments * length
    hop = min(hop, size)
    starts = [start for start in range(0, frames, hop) if start == 0 or start - hop + size < frames]
    windows = [(start, min(size, frames - start), rng.random((segments, 3)).astype(np.float32)) for start in starts]
    # The slow way: all scores of each stretch, gathered by its start.
    found: dict[int, list[np.ndarray]] = {}
    for (start, valid, scores), used in zip(windows, scored, strict=False):
        for part in range(segments if used else 0):
            if part * length < valid:
                found.setdefault(start + part * length, []).append(scores[part])
    mean = RowMean(hop)
    given_out: list[WindowScores] = []
    for (start, valid, scores), used in zip(windows, scored, strict=False):
        if not used:
            given_out += mean.before(start)
            continue
        now = mean.push(rows_of(window(start, size, valid), scores, length))
        # No row waits for a window that cannot reach it any more.
        assert start in [row.start_frame for row in now]
        given_out += now
    given_out += mean.finish()
    assert mean.finish() == []
    assert [row.start_frame for row in given_out] == sorted(found)
    for row in given_out:
        assert row.scores == pytest.approx(np.mean(found[row.start_frame], axis=0), abs=1e-6)
        assert row.valid_frames == min(length, frames - row.start_frame)
