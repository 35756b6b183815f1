from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from birdwatch.batch.jobs import Job
from birdwatch.batch.run_database import PRESENT, Journal, journal_path
from birdwatch.errors import ConfigError, SinkError

PARAMETERS = {"model": "tiny", "hop_s": 2.5, "threshold": None}
JOB = Job("a", Path("/season/a.wav"), None, 100, 12345)


def score(journal, job, *pieces, begun=False):
    values = [("detections", number, piece) for number, piece in enumerate(pieces)]
    recording = None
    if begun:
        recording = journal.begin(job)
        for value in values:
            journal.add(recording, value)
        values = []
    present = np.array([(3, 0.75)], PRESENT)
    journal.finish(job, recording, values, frames=7, windows=2, present=present, warning="short")


@pytest.fixture
def path(tmp_path):
    return journal_path(tmp_path / "out.csv")


@pytest.mark.parametrize("begun", [False, True])
def test_what_was_written_comes_back_after_it_was_closed(path, begun):
    with Journal(path, PARAMETERS, resume=False) as journal:
        score(journal, JOB, b"one", b"two", begun=begun)
    with Journal(path, PARAMETERS, resume=True) as journal:
        entry = journal.find(JOB)
        assert (entry.frames, entry.windows, entry.warning) == (7, 2, "short")
        assert entry.present.tolist() == [(3, 0.75)]
        assert list(journal.pieces(entry, "detections")) == [b"one", b"two"]
        assert list(journal.pieces(entry, "segments")) == []


@pytest.mark.parametrize("change", [{"size_bytes": 101}, {"mtime_ns": 12346}, {"channel": 1}, {"path": Path("/b.wav")}])
def test_a_changed_file_is_done_again(path, change):
    with Journal(path, PARAMETERS, resume=False) as journal:
        score(journal, JOB, b"one")
        changed = replace(JOB, **change)
        assert journal.find(changed) is None
        score(journal, changed, b"new")
        assert list(journal.pieces(journal.find(changed), "detections")) == [b"new"]


def test_what_was_half_done_is_forgotten(path):
    with Journal(path, PARAMETERS, resume=False) as journal:
        score(journal, JOB, b"one")
        recording = journal.begin(replace(JOB, path=Path("/season/b.wav")))
        journal.add(recording, ("detections", 0, b"half"))
    with Journal(path, PARAMETERS, resume=True) as journal:
        assert journal.find(replace(JOB, path=Path("/season/b.wav"))) is None
        score(journal, replace(JOB, path=Path("/season/b.wav")), b"whole")
        entry = journal.find(replace(JOB, path=Path("/season/b.wav")))
        assert list(journal.pieces(entry, "detections")) == [b"whole"]


def test_changed_parameters_are_refused_with_what_changed(path):
    with Journal(path, PARAMETERS, resume=False) as journal:
        score(journal, JOB)
    with pytest.raises(ConfigError, match=r"hop_s was 2\.5 and is 5\.0; species was None and is 'x'"):
        Journal(path, {**PARAMETERS, "hop_s": 5.0, "species": "x"}, resume=True)


def test_results_of_an_interrupted_run_are_not_thrown_away_by_a_forgotten_option(path):
    with Journal(path, PARAMETERS, resume=False):
        pass
    with Journal(path, {"other": 1}, resume=False) as journal:  # nothing was scored: nothing to lose
        score(journal, JOB)
    with pytest.raises(ConfigError, match="holds 1 recordings that an interrupted run has scored; add --resume"):
        Journal(path, {"other": 1}, resume=False)
    with Journal(path, {"other": 1}, resume=True) as journal:
        journal.written()
    with Journal(path, PARAMETERS, resume=False) as journal:
        assert journal.find(JOB) is None


def test_two_runs_cannot_write_one_output(path):
    with Journal(path, PARAMETERS, resume=False), pytest.raises(SinkError, match="another run is writing"):
        Journal(path, PARAMETERS, resume=True)


def test_another_file_is_not_taken_for_a_journal(path):
    path.write_text("my own journal of birds, " * 100)
    with pytest.raises(SinkError, match="is not a journal of birdwatch"):
        Journal(path, PARAMETERS, resume=True)
    assert path.read_text().startswith("my own journal")
