from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdwatch.audio.ring import RingBuffer


@given(capacity=st.integers(1, 20), sizes=st.lists(st.integers(0, 45), max_size=12), origin=st.integers(0, 1000))
def test_it_holds_the_newest_frames_and_nothing_else(capacity, sizes, origin):
    ring = RingBuffer(capacity)
    ring.restart(origin)
    stream: list[float] = []
    for size in sizes:
        new = np.arange(len(stream), len(stream) + size, dtype=np.float32)
        ring.append(new)
        stream += list(new)
    assert ring.end_frame == origin + len(stream)
    held = stream[-capacity:]
    assert ring.start_frame == origin + len(stream) - len(held)
    np.testing.assert_array_equal(ring.read(ring.start_frame, len(held)), held)
    for start in range(len(held)):
        np.testing.assert_array_equal(ring.read(ring.start_frame + start, 1), held[start : start + 1])


def test_frames_that_were_overwritten_or_not_yet_written_are_refused():
    ring = RingBuffer(4)
    ring.append(np.arange(6, dtype=np.float32))
    for start, frames in [(1, 2), (3, 4), (6, 1), (3, -1)]:
        with pytest.raises(IndexError, match="are not held; 2 to 6 are"):
            ring.read(start, frames)


def test_what_is_read_is_a_copy():
    ring = RingBuffer(4)
    ring.append(np.ones(4, np.float32))
    ring.read(0, 4)[:] = 9
    np.testing.assert_array_equal(ring.read(0, 4), np.ones(4))


def test_a_ring_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        RingBuffer(0)
