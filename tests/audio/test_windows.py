from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st

from birdwatch.audio.types import AudioBlock, Window
from birdwatch.audio.windows import Windower, hop_frames_of
from birdwatch.errors import ConfigError


def block(start: int, end: int) -> AudioBlock:
    """Samples that say their own frame number, from 1 on, so that padding (0) is told apart."""
    return AudioBlock(np.arange(start + 1, end + 1, dtype=np.float32), start, 32000)


def run(windower: Windower, blocks: list[AudioBlock]) -> list[Window]:
    out: list[Window] = []
    for each in blocks:
        out += windower.push(each)
    return out + windower.finish()


def assert_holds_its_frames(window: Window, size: int) -> None:
    expected = np.zeros(size, np.float32)
    expected[: window.valid_frames] = np.arange(window.start_frame + 1, window.start_frame + window.valid_frames + 1)
    np.testing.assert_array_equal(window.samples, expected)


@given(
    frames=st.integers(0, 120),
    window=st.integers(1, 20),
    hop=st.integers(1, 20),
    min_tail=st.integers(1, 12),
    cuts=st.lists(st.integers(0, 120), max_size=8),
)
def test_windows_equal_the_slow_loop_however_the_input_is_chopped(frames, window, hop, min_tail, cuts):
    hop = min(hop, window)
    edges = [0, *sorted(min(cut, frames) for cut in cuts), frames]
    windower = Windower(window, hop, min_tail_frames=min_tail)
    out = run(windower, [block(a, b) for a, b in pairwise(edges)])
    assert [(w.start_frame, w.valid_frames) for w in out] == reference.window_starts(frames, window, hop, min_tail)
    for each in out:
        assert_holds_its_frames(each, window)
    seen = max((w.start_frame + w.valid_frames for w in out), default=0)
    assert windower.unscored_frames == frames - seen


@pytest.mark.parametrize("frames", [9, 10, 11, 14, 15, 16])
def test_no_frame_is_unseen_around_the_edges(frames):
    out = run(Windower(10, 5), [block(0, frames)])
    assert {f for w in out for f in range(w.start_frame, w.start_frame + w.valid_frames)} == set(range(frames))


def test_no_window_spans_a_hole():
    out = run(Windower(10, 5, min_tail_frames=2), [block(0, 23), block(40, 61)])
    assert [(w.start_frame, w.valid_frames) for w in out] == [
        (0, 10), (5, 10), (10, 10), (15, 8), (40, 10), (45, 10), (50, 10), (55, 6),
    ]  # fmt: skip
    for window in out:
        assert_holds_its_frames(window, 10)


def test_a_tail_too_short_is_counted_and_a_short_recording_is_scored_all_the_same():
    windower = Windower(10, 10, min_tail_frames=5)
    assert [w.start_frame for w in run(windower, [block(0, 24)])] == [0, 10]
    assert windower.unscored_frames == 4
    short = run(Windower(10, 10, min_tail_frames=5), [block(0, 1)])
    assert [(w.start_frame, w.valid_frames) for w in short] == [(0, 1)]


def test_time_does_not_run_backwards():
    windower = Windower(10, 5)
    windower.push(block(0, 20))
    with pytest.raises(ValueError, match="before 20"):
        windower.push(block(19, 30))


def test_windows_cannot_be_written_to():
    (window,) = Windower(10, 10).push(block(0, 10))
    with pytest.raises(ValueError, match="read-only"):
        window.samples[0] = 1


def test_the_hop_is_half_a_window_unless_said():
    assert hop_frames_of(None, 160000, 32000) == 80000
    assert hop_frames_of(5, 160000, 32000) == 160000
    for bad in (0, -1, 5.1):
        with pytest.raises(ConfigError, match=r"hop is .* at most the model's window of 5 s"):
            hop_frames_of(bad, 160000, 32000)
