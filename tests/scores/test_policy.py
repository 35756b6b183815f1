"""The policy: thresholds by class, the species filter, digital silence."""

from __future__ import annotations

import numpy as np
import pytest

from birdwatch.audio.types import Window
from birdwatch.model.species_filter import SpeciesFilter
from birdwatch.model.types import WindowScores
from birdwatch.scores.events import EventRule
from birdwatch.scores.policy import ScoringPolicy

RULES = (EventRule(0.5, 0.3), EventRule(0.25, 0.25), EventRule(0.0, 0.0))


def only(*allowed: bool) -> SpeciesFilter:
    return SpeciesFilter(np.array(allowed), "a list")


def test_a_class_is_detected_at_its_own_threshold() -> None:
    tracker = ScoringPolicy(RULES[:2]).tracker(10)
    found = tracker.push(WindowScores(100, 50, np.array([0.5, 0.2], np.float32))).detections
    assert [(d.label, d.score, d.threshold, d.start_frame, d.end_frame) for d, _ in found] == [(0, 0.5, 0.5, 100, 150)]


def test_an_excluded_class_scores_0_and_is_never_detected_even_with_a_threshold_of_0() -> None:
    policy = ScoringPolicy(RULES, only(True, False, False))
    scores = policy.filtered(np.array([[0.9, 0.9, 0.9]], np.float32))
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, np.array([[0.9, 0, 0]], np.float32))
    assert policy.thresholds.tolist() == [0.5, np.inf, np.inf]
    found = policy.tracker(10).push(WindowScores(0, 50, scores[0])).detections
    assert [d.label for d, _ in found] == [0]


def test_rows_are_kept_from_the_threshold_or_from_the_least_score() -> None:
    policy = ScoringPolicy(RULES, only(True, True, False))
    assert policy.floors(None).tolist() == [0.5, 0.25, np.inf]
    assert policy.floors(0.125).tolist() == [0.125, 0.125, np.inf]


@pytest.mark.parametrize(
    ("samples", "valid", "scored"),
    [
        ([0, 0, 0, 0], 4, False),
        ([0.5, 0.5, 0.5, 0.5], 4, False),
        ([0.5, 0.5, 0.0, 0.0], 2, False),  # the padding of a tail is not audio
        ([0, 0, 0, 1e-9], 4, True),
    ],
)
def test_a_window_of_one_value_is_not_scored(samples: list[float], valid: int, scored: bool) -> None:
    assert ScoringPolicy(RULES).is_scored(Window(np.array(samples, np.float32), 0, valid)) is scored


def test_a_filter_for_another_model_is_refused() -> None:
    with pytest.raises(ValueError, match="2 classes, the rules 3"):
        ScoringPolicy(RULES, only(True, False))
