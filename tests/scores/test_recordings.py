"""A live stream's minutes."""

from __future__ import annotations

import numpy as np

from birdwatch.model.types import WindowScores
from birdwatch.scores.recordings import Recordings


def window(start, *scores):
    return WindowScores(start, 5, np.array(scores, np.float32))


def test_a_window_belongs_to_the_recording_in_which_it_starts():
    recordings = Recordings("live", 2, 10, frames=60)
    assert recordings.push(window(0, 0.1, 0.9)) == []
    assert recordings.push(window(59, 0.3, 0.2)) == []
    (first,) = recordings.push(window(60, 0.7, 0.0))
    assert (first.start_frame, first.end_frame, first.windows) == (0, 60, 2)
    assert first.scores.tolist() == [np.float32(0.3), np.float32(0.9)]
    (second,) = recordings.advance(130)
    assert (second.start_frame, second.end_frame, second.windows) == (60, 120, 1)
    assert recordings.finish(140) == []


def test_minutes_without_a_window_have_no_recording():
    recordings = Recordings("live", 1, 10, frames=60)
    recordings.push(window(0, 0.1))
    assert len(recordings.push(window(600, 0.2))) == 1
    (last,) = recordings.finish(620)
    assert (last.start_frame, last.end_frame) == (600, 620)


def test_without_a_length_there_is_one_recording():
    recordings = Recordings("dawn", 1, 10, frames=None)
    assert [recordings.push(window(start, 0.1)) for start in range(0, 9000, 25)] == [[]] * 360
    (whole,) = recordings.finish(9030)
    assert (whole.recording, whole.start_frame, whole.end_frame, whole.windows) == ("dawn", 0, 9030, 360)
