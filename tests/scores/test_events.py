"""Windows to events: hysteresis, bridges, minimum lengths, against a slow reading of the rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdwatch.model.types import WindowScores
from birdwatch.scores.events import MAX_EVENT_S, EventRule, EventTracker

HOP, WINDOW = 25, 50


def windows(*scores: float) -> list[WindowScores]:
    return [WindowScores(i * HOP, WINDOW, np.array([s], np.float32)) for i, s in enumerate(scores)]


def run(tracker: EventTracker, items: list[WindowScores]):
    found = [tracker.push(window) for window in items]
    return found, [e for h in found for e in h.ended] + list(tracker.finish())


def test_hysteresis_holds_an_event_open_between_on_and_off():
    found, events = run(EventTracker([EventRule(on=0.5, off=0.3)], 10), windows(0.2, 0.6, 0.4, 0.9, 0.2, 0.2, 0.2))
    assert [len(h.detections) for h in found] == [0, 1, 0, 1, 0, 0, 0]
    assert {number for h in found for _, number in h.detections} == {1}
    ((event, number),) = events
    assert (number, event.start_frame, event.end_frame, event.windows) == (1, HOP, 3 * HOP + WINDOW, 3)
    assert event.max_score == pytest.approx(0.9)
    assert event.mean_score == pytest.approx((0.6 + 0.4 + 0.9) / 3)


def test_a_score_between_off_and_on_begins_nothing():
    _, events = run(EventTracker([EventRule(on=0.5, off=0.3)], 10), windows(0.4, 0.4))
    assert events == []


def test_an_event_ends_as_soon_as_nothing_can_continue_it():
    found, _ = run(EventTracker([EventRule(on=0.5, off=0.5)], 10), windows(0.9, 0.1, 0.1, 0.1))
    # Window 2 begins where window 0 ended: the last that could have touched it.
    assert [len(h.ended) for h in found] == [0, 0, 1, 0]


def test_a_bridge_joins_what_a_pause_would_part():
    scores = windows(0.9, 0.1, 0.1, 0.9, 0.0)
    _, parted = run(EventTracker([EventRule(0.5, 0.5)], 10), scores)
    _, joined = run(EventTracker([EventRule(0.5, 0.5, bridge_frames=HOP)], 10), scores)
    assert [e.windows for e, _ in parted] == [1, 1]
    assert [(e.windows, e.start_frame, e.end_frame) for e, _ in joined] == [(2, 0, 3 * HOP + WINDOW)]


def test_short_events_are_detected_and_not_reported():
    found, events = run(EventTracker([EventRule(0.5, 0.5, min_windows=2)], 10), windows(0.9, 0, 0, 0, 0.9, 0.9, 0))
    assert sum(len(h.detections) for h in found) == 3
    assert [(e.windows, n) for e, n in events] == [(2, 2)]


def test_each_class_has_its_own_rule():
    tracker = EventTracker([EventRule(0.5, 0.5), EventRule(0.9, 0.9)], 10)
    found = tracker.push(WindowScores(0, WINDOW, np.array([0.6, 0.6], np.float32)))
    assert [d.label for d, _ in found.detections] == [0]
    assert tracker.on.tolist() == pytest.approx([0.5, 0.9])


def test_a_class_that_never_falls_silent_is_reported_all_the_same():
    tracker = EventTracker([EventRule(0.5, 0.5)], 10)
    count = 2 * MAX_EVENT_S * 10 // HOP + 10
    _, events = run(tracker, windows(*[0.9] * count))
    assert len(events) == 3
    assert sum(e.windows for e, _ in events) == count


def test_a_rule_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="off <= on"):
        EventRule(on=0.3, off=0.5)


def slow_events(scores: list[float], rule: EventRule) -> list[tuple[int, int, int]]:
    """(start, end, windows) of each event: runs of windows at or over off that begin with one at or over on."""
    out: list[list[int]] = []
    for i, score in enumerate(scores):
        start = i * HOP
        open_ = bool(out) and start - out[-1][1] <= rule.bridge_frames
        if score >= rule.off and open_:
            out[-1][1:] = [start + WINDOW, out[-1][2] + 1]
        elif score >= rule.on:
            out.append([start, start + WINDOW, 1])
    return [(a, b, n) for a, b, n in out if n >= rule.min_windows]


@given(
    st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), max_size=40),
    st.sampled_from([0.25, 0.5]),
    st.integers(1, 3),
    st.integers(0, 90),
)
def test_against_a_slow_reading_of_the_rule(scores, off, least, bridge):
    rule = EventRule(0.5, off, least, bridge)
    _, events = run(EventTracker([rule], 10), windows(*scores))
    assert [(e.start_frame, e.end_frame, e.windows) for e, _ in events] == slow_events(scores, rule)
