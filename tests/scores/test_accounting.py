"""Every captured frame is counted once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from birdwatch.scores.accounting import Accounting


def test_overlapping_windows_count_each_frame_once():
    accounting = Accounting()
    accounting.capture(100)
    assert [accounting.settle(start, start + 40, "analysed") for start in (0, 20, 40)] == [40, 20, 20]
    assert (accounting.analysed, accounting.pending, accounting.dropped) == (80, 20, 0)


def test_frames_that_a_window_passes_over_are_dropped_and_holes_are_not_captured():
    accounting = Accounting()
    accounting.capture(50)
    accounting.hole(30)
    accounting.capture(60)
    assert accounting.settle(0, 40, "analysed") == 40
    assert accounting.pending == 10 + 60
    assert accounting.settle(80, 120, "skipped_silent") == 40
    assert (accounting.captured, accounting.gap, accounting.end_frame) == (110, 30, 140)
    assert (accounting.analysed, accounting.skipped_silent, accounting.dropped, accounting.pending) == (40, 40, 10, 20)


actions = st.lists(
    st.tuples(st.sampled_from(["capture", "hole", "analysed", "skipped_silent", "dropped"]), st.integers(0, 50)),
    max_size=60,
)


@given(actions)
def test_nothing_is_lost_or_counted_twice(steps):
    """Against one entry a frame, written down in the slowest way."""
    accounting = Accounting()
    frames: list[str] = []
    settled = 0
    for kind, n in steps:
        if kind == "capture":
            accounting.capture(n)
            frames += ["pending"] * n
        elif kind == "hole":
            accounting.hole(n)
            frames += ["gap"] * n
        else:
            start, end = settled + n // 3 - 5, settled + n
            accounting.settle(max(0, start), max(0, end), kind)
            for i in range(len(frames)):
                if frames[i] == "pending" and i < max(0, end):
                    frames[i] = kind if i >= start else "dropped"
            settled = max(settled, min(end, len(frames)))
    assert accounting.end_frame == len(frames) == accounting.captured + accounting.gap
    for name in ("analysed", "skipped_silent", "dropped", "pending", "gap"):
        assert getattr(accounting, name) == frames.count(name), name
    assert (
        accounting.captured == accounting.analysed + accounting.skipped_silent + accounting.dropped + accounting.pending
    )
