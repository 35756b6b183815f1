from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from birdwatch.hub.received import MAX_HOLES, Received


@given(st.lists(st.one_of(st.integers(1, 30), st.tuples(st.integers(0, 30), st.integers(0, 30))), max_size=60))
def test_it_is_the_complement_of_a_set_of_numbers(steps):
    progress = Received()
    come: set[int] = set()
    lost: set[int] = set()
    top = 0
    for step in steps:
        if isinstance(step, int):
            # A number that was given up and comes after all was counted already: it is not taken.
            new = step not in come and step not in lost
            assert progress.admit(step) == new
            if new:
                come.add(step)
                top = max(top, step)
        else:
            after, up_to = step
            reach = up_to if up_to > top and after <= top else top
            gone = {n for n in range(after + 1, up_to + 1) if n <= reach} - come - lost
            assert progress.give_up(after, up_to) == len(gone)
            lost |= gone
            top = max(top, reach)
    missing = set(range(1, top + 1)) - come - lost
    assert {n for first, last in progress.holes for n in range(first, last + 1)} == missing
    assert progress.through == top
    assert progress.lost == len(lost)
    assert progress.first_missing() == min(missing, default=top + 1)
    assert Received.read(progress.through, progress.holes_text(), progress.lost) == progress


def test_a_hostile_station_cannot_make_it_large():
    progress = Received()
    for seq in range(2, 4 * MAX_HOLES, 2):
        progress.admit(seq)
    assert len(progress.holes) == MAX_HOLES
    assert progress.lost == 4 * MAX_HOLES // 2 - 1 - MAX_HOLES
