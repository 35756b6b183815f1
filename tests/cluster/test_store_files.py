"""A store in an object store does what one in a folder does."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pytest

from birdwatch.batch.jobs import Job, Section
from birdwatch.batch.request import RunRequest
from birdwatch.batch.run_database import PRESENT, Facts
from birdwatch.cluster import commits
from birdwatch.cluster.commits import CommitStore, CommitWriter
from birdwatch.cluster.plan import read_plan, write_plan
from birdwatch.cluster.sections import Cutting
from birdwatch.cluster.store_files import RemoteFolder, StorePlace, checked_place, place_of
from birdwatch.config.schema import Settings
from birdwatch.errors import ConfigError, SinkError, SourceError
from birdwatch.tables.formats import choose_outputs

JOB = Job("a", Path("/season/a.wav"), None, 1000, 5)
PART = replace(JOB, section=Section(0, 320))
FACTS = Facts(320, 10, 5, 2, np.array([(3, 0.75)], PRESENT), "short")
URL = "memory://store/run1"


@pytest.fixture
def memory(monkeypatch, tmp_path):
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()
    # Whatever happened, nothing is left on this machine's disk.
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.fixture(params=["folder", "object store"])
def place(request, memory, tmp_path) -> StorePlace:
    return tmp_path / "store" if request.param == "folder" else RemoteFolder(URL)


def commit(store: CommitStore, job: Job, data: bytes) -> int:
    writer = CommitWriter(store, {"host": "n1"}, np.zeros(3, np.float32))
    number = writer.begin(job)
    writer.add(number, ("windows", 0, data))
    writer.finish(job, number, [("events", 0, b"")], FACTS)
    return writer.lost


@pytest.mark.parametrize("kept", [0, 1 << 22])
def test_the_first_commit_stays_and_comes_back(place, kept, monkeypatch):
    monkeypatch.setattr(commits, "KEPT_BYTES", kept)
    store = CommitStore(place, {"hop_s": 2.5})
    assert (store.has(JOB), store.read(JOB)) == (False, None)
    assert [commit(store, JOB, data) for data in (b"first", b"second")] == [0, 1]
    assert store.have([JOB, PART, replace(JOB, size_bytes=9)]) == [True, False, False]
    found = store.read(JOB)
    assert found is not None
    for _ in range(2):
        assert list(found.pieces()) == [("windows", 0, b"first"), ("events", 0, b"")]
    assert (found.facts.frames, found.facts.warning, found.worker) == (320, "short", {"host": "n1"})


def test_a_section_is_scored_where_its_recording_is(place):
    store = CommitStore(place, {})
    other = replace(PART, path=Path("/season/b.wav"))
    assert store.have_parts([PART, JOB, other]) == [False, False, False]
    commit(store, JOB, b"x")
    assert store.have_parts([PART, JOB, other]) == [True, True, False]
    commit(store, other, b"x")
    assert store.have_parts([other, PART]) == [True, True]


def test_faults_and_what_was_given_up(place):
    store = CommitStore(place, {})
    assert store.fault(JOB) is None
    for text in ("is empty", "is bäd"):
        store.note_fault(JOB, text)
    assert store.fault(JOB) == "is bäd"
    writer = CommitWriter(store, {}, np.zeros(3, np.float32))
    writer.add(writer.begin(JOB), ("windows", 0, b"x"))
    writer.abandon()
    assert not store.has(JOB)


def test_a_damaged_commit_is_named(memory):
    store = CommitStore(RemoteFolder(URL), {})
    commit(store, JOB, b"x" * 100)
    memory.pipe_file(f"/store/run1/{store.name_of(JOB)}", b"short")
    with pytest.raises(SourceError, match=f"{URL}/units/.*delete it and score again"):
        store.read(JOB)


def test_a_bucket_that_refuses_is_one_line(memory, monkeypatch):
    store = CommitStore(RemoteFolder(URL), {})

    def refused(*_: object, **__: object) -> None:
        raise PermissionError("AccessDenied for https://key:hidden@host/?sig=hidden")

    for name in ("put_file", "info", "open"):
        monkeypatch.setattr(memory, name, refused)
    asked = (lambda: commit(store, JOB, b"x"), lambda: store.note_fault(JOB, "x"), lambda: store.has(JOB))
    for ask in (*asked, lambda: store.read(JOB)):
        with pytest.raises((SinkError, SourceError), match="permission refused") as caught:
            ask()
        assert "hidden" not in str(caught.value)


def test_a_plan_comes_back_and_another_one_is_refused(place, tiny_model):
    jobs = [JOB, replace(JOB, name="e", path=Path("/s/e.wav"), duration_s=3.5, rate_hz=8000, exact_frames=28000)]
    cutting = Cutting(320, 320, (8000,))
    outputs = tuple(choose_outputs(["s3://bucket/d.parquet", "d.csv"], []))
    request = RunRequest(recordings=("/s",), outputs=outputs, settings=Settings(model=tiny_model))
    written = write_plan(place / "p", request, {}, jobs, cutting, store=place)
    found = read_plan(place / "p")
    assert (list(found.parts), list(found.units), found.request) == (
        list(written.parts),
        list(written.units),
        replace(written.request, recordings=()),
    )
    assert found.store == place
    assert str(found.request.outputs[0].shown) == "s3://bucket/d.parquet"
    write_plan(place / "p", request, {}, jobs, cutting, store=place)
    with pytest.raises(ConfigError, match="plan of another run"):
        write_plan(place / "p", request, {}, jobs[:1], cutting, store=place)
    with pytest.raises(ConfigError, match="holds no plan"):
        read_plan(place / "q")


def test_places(tmp_path, monkeypatch, memory):
    monkeypatch.chdir(tmp_path)
    assert place_of("run1") == tmp_path / "run1"
    assert place_of("s3://b/run1/") == RemoteFolder("s3://b/run1")
    assert str(RemoteFolder("s3://b/run1") / "plans/x") == "s3://b/run1/plans/x"
    assert checked_place(URL) == RemoteFolder(URL)
