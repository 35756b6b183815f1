from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from birdwatch.batch.jobs import Job
from birdwatch.batch.run_database import PRESENT, Facts, RunDatabase, database_path
from birdwatch.errors import ConfigError, SinkError

PARAMETERS = {"model": "tiny", "hop_s": 2.5, "threshold": None}
JOB = Job("a", Path("/season/a.wav"), None, 100, 12345)


def score(database, job, *pieces, begun=False):
    values = [("windows", number, piece) for number, piece in enumerate(pieces)]
    recording = None
    if begun:
        recording = database.begin(job)
        for value in values:
            database.add(recording, value)
        values = []
    present = np.array([(3, 0.75)], PRESENT)
    database.finish(job, recording, values, Facts(7, 2, 1, 2, present, "short"))


@pytest.fixture
def path(tmp_path):
    return database_path(tmp_path / "out.csv")


@pytest.mark.parametrize("begun", [False, True])
def test_what_was_written_comes_back_after_it_was_closed(path, begun):
    with RunDatabase(path, PARAMETERS, resume=False) as database:
        score(database, JOB, b"one", b"two", begun=begun)
    with RunDatabase(path, PARAMETERS, resume=True) as database:
        entry = database.find(JOB)
        assert (entry.frames, entry.silent_frames, entry.unscored_frames) == (7, 2, 1)
        assert (entry.windows, entry.warning) == (2, "short")
        assert entry.present.tolist() == [(3, 0.75)]
        assert list(database.pieces(entry, "windows")) == [b"one", b"two"]
        assert list(database.pieces(entry, "segments")) == []


@pytest.mark.parametrize("change", [{"size_bytes": 101}, {"mtime_ns": 12346}, {"channel": 1}, {"path": Path("/b.wav")}])
def test_a_changed_file_is_done_again(path, change):
    with RunDatabase(path, PARAMETERS, resume=False) as database:
        score(database, JOB, b"one")
        changed = replace(JOB, **change)
        assert database.find(changed) is None
        score(database, changed, b"new")
        assert list(database.pieces(database.find(changed), "windows")) == [b"new"]


def test_what_was_half_done_is_forgotten(path):
    with RunDatabase(path, PARAMETERS, resume=False) as database:
        score(database, JOB, b"one")
        recording = database.begin(replace(JOB, path=Path("/season/b.wav")))
        database.add(recording, ("windows", 0, b"half"))
    with RunDatabase(path, PARAMETERS, resume=True) as database:
        assert database.find(replace(JOB, path=Path("/season/b.wav"))) is None
        score(database, replace(JOB, path=Path("/season/b.wav")), b"whole")
        entry = database.find(replace(JOB, path=Path("/season/b.wav")))
        assert list(database.pieces(entry, "windows")) == [b"whole"]


def test_changed_parameters_are_refused_with_what_changed(path):
    with RunDatabase(path, PARAMETERS, resume=False) as database:
        score(database, JOB)
    with pytest.raises(ConfigError, match=r"hop_s was 2\.5 and is 5\.0; species was None and is 'x'"):
        RunDatabase(path, {**PARAMETERS, "hop_s": 5.0, "species": "x"}, resume=True)


def test_results_of_an_interrupted_run_are_not_thrown_away_by_a_forgotten_option(path):
    with RunDatabase(path, PARAMETERS, resume=False):
        pass
    with RunDatabase(path, {"other": 1}, resume=False) as database:  # nothing was scored: nothing to lose
        score(database, JOB)
    with pytest.raises(ConfigError, match="holds 1 recording that an interrupted run has scored; add --resume"):
        RunDatabase(path, {"other": 1}, resume=False)
    with RunDatabase(path, {"other": 1}, resume=True) as database:
        database.written()
    with RunDatabase(path, PARAMETERS, resume=False) as database:
        assert database.find(JOB) is None


@pytest.mark.slow
def test_two_runs_cannot_write_one_output(path):
    with RunDatabase(path, PARAMETERS, resume=False), pytest.raises(SinkError, match="another run is writing"):
        RunDatabase(path, PARAMETERS, resume=True)


def test_another_file_is_not_taken_for_a_database(path):
    path.write_text("my own database of birds, " * 100)
    with pytest.raises(SinkError, match="is not a run database of birdwatch"):
        RunDatabase(path, PARAMETERS, resume=True)
    assert path.read_text().startswith("my own database")
