from __future__ import annotations

import numpy as np
import pytest
import soundfile

from birdwatch.api import analyze
from birdwatch.batch import scoring as module
from birdwatch.batch.inputs import find_inputs
from birdwatch.batch.jobs import look_at
from birdwatch.batch.results import result_of
from birdwatch.batch.run_database import RunDatabase
from birdwatch.batch.scoring import Scoring, score_job
from birdwatch.config.schema import Settings
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.scores.aggregation import segment_scores
from birdwatch.scores.events import EventRule
from birdwatch.scores.policy import ScoringPolicy


@pytest.mark.parametrize("piece_bytes", [1, 100, 1 << 20])
def test_what_the_journal_keeps_is_what_analyze_finds(tmp_path, tiny_model, song, monkeypatch, piece_bytes):
    monkeypatch.setattr(module, "PIECE_BYTES", piece_bytes)
    soundfile.write(tmp_path / "a.wav", song, 32000, subtype="FLOAT")
    classifier = OnnxClassifier(tiny_model)
    policy, floors = ScoringPolicy((EventRule(0.5, 0.3),) * 3), np.float32([0.0, 0.45, 2.0])
    expected = analyze(
        tmp_path / "a.wav", classifier, 1.0, settings=Settings(threshold=0.5, event_off=0.3, event_bridge=0)
    )
    ((job,),) = look_at(find_inputs([str(tmp_path / "a.wav")]))
    seconds = []
    with RunDatabase(tmp_path / "o.journal", {}, resume=False) as journal:
        warning = score_job(job, Scoring(classifier, policy, 1.0, floors, True), journal, seconds.append)
        entry = journal.find(job)
        assert entry is not None
        result = result_of(job, entry, journal, len(classifier.manifest.labels))
        detections = np.concatenate(list(result.rows("windows")))
        events = np.concatenate(list(result.rows("events")))
        segments = np.concatenate(list(result.segments()))
    assert warning == ""
    assert sum(seconds) == pytest.approx(13.0)
    assert (entry.windows, entry.frames) == (len(expected.windows), 13 * 32000)
    np.testing.assert_array_equal(result.present, expected.scores >= 0.5)
    np.testing.assert_array_equal(entry.present["score"], expected.scores[expected.scores >= 0.5])
    np.testing.assert_array_equal(segments, segment_scores(expected.windows, segment_frames=160000, classes=3))
    assert sorted(events.tolist()) == sorted(
        (e.start_frame, e.end_frame, e.label, np.float32(e.max_score), np.float32(e.mean_score), e.windows)
        for e in expected.events
    )
    assert detections.tolist() == [
        (window.start_frame, window.start_frame + window.valid_frames, label, float(window.scores[label]))
        for window in expected.windows
        for label in (0, 1)
        if label == 0 or window.scores[1] >= np.float32(0.45)
    ]
