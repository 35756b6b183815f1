"""Commits: whole or not there, the first one wins, and what was written comes back."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from birdwatch.batch.jobs import Job
from birdwatch.batch.run_database import PRESENT, Facts
from birdwatch.cluster.commits import CommitStore, CommitWriter, job_hash
from birdwatch.errors import SinkError, SourceError

JOB = Job("a", Path("/season/a.wav"), None, 1000, 5)
WORKER = {"host": "n1", "provider": "CPU", "probe": "abc"}
NO_FLOORS = np.zeros(3, np.float32)


def facts(windows: int = 2) -> Facts:
    return Facts(320, 10, 5, windows, np.array([(3, 0.75)], PRESENT), "short")


@pytest.fixture
def store(tmp_path: Path) -> CommitStore:
    return CommitStore(tmp_path / "store", {"hop_s": 2.5})


def names(store: CommitStore) -> list[str]:
    assert isinstance(store.folder, Path)
    return [path.name for path in store.folder.rglob("*") if path.is_file()]


def test_what_was_committed_comes_back(store: CommitStore) -> None:
    writer = CommitWriter(store, WORKER, NO_FLOORS)
    assert not store.has(JOB)
    assert store.read(JOB) is None
    number = writer.begin(JOB)
    writer.add(number, ("windows", 0, b"first"))
    assert not store.has(JOB)
    writer.finish(JOB, number, [("windows", 1, b"second"), ("events", 0, b"")], facts())
    commit = store.read(JOB)
    assert commit is not None
    assert list(commit.pieces()) == [("windows", 0, b"first"), ("windows", 1, b"second"), ("events", 0, b"")]
    assert (commit.facts.frames, commit.facts.warning, commit.worker) == (320, "short", WORKER)
    assert commit.facts.present.tolist() == facts().present.tolist()
    assert names(store) == [store.path_of(JOB).name]


def test_the_first_commit_wins(store: CommitStore) -> None:
    for windows in (2, 9):
        writer = CommitWriter(store, WORKER, NO_FLOORS)
        writer.finish(JOB, None, [("windows", 0, bytes([windows]))], facts(windows))
        assert writer.lost == (windows == 9)
    commit = store.read(JOB)
    assert commit is not None
    assert commit.facts.windows == 2
    assert list(commit.pieces()) == [("windows", 0, b"\x02")]
    assert len(names(store)) == 1


@pytest.mark.parametrize(
    "other",
    [replace(JOB, size_bytes=1001), replace(JOB, mtime_ns=6), replace(JOB, channel=0), replace(JOB, rest=(JOB,))],
)
def test_another_state_of_the_file_is_another_result(store: CommitStore, other: Job) -> None:
    CommitWriter(store, WORKER, NO_FLOORS).finish(JOB, None, [], facts())
    assert store.has(JOB)
    assert not store.has(other)
    assert job_hash(JOB, {"hop_s": 2.5}) != job_hash(JOB, {"hop_s": 1.0})


@pytest.mark.parametrize("kept", [0, 3, 7, 20])
def test_a_damaged_commit_is_named(store: CommitStore, kept: int) -> None:
    CommitWriter(store, WORKER, NO_FLOORS).finish(JOB, None, [("windows", 0, b"x" * 50)], facts())
    path = store.path_of(JOB)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(SourceError, match=path.name):
        store.read(JOB)


def test_what_was_begun_and_given_up_leaves_nothing(store: CommitStore) -> None:
    writer = CommitWriter(store, WORKER, NO_FLOORS)
    writer.add(writer.begin(JOB), ("windows", 0, b"x"))
    assert len(names(store)) == 1
    writer.abandon()
    assert names(store) == []


def test_a_worker_killed_in_a_commit_leaves_no_commit(store: CommitStore) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; import numpy as np\n"
        "from birdwatch.batch.jobs import Job; from birdwatch.cluster.commits import CommitStore, CommitWriter\n"
        "from birdwatch.batch.run_database import PRESENT, Facts\n"
        "os.link = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"store = CommitStore(Path({str(store.folder)!r}), {{'hop_s': 2.5}})\n"
        "job = Job('a', Path('/season/a.wav'), None, 1000, 5)\n"
        "CommitWriter(store, {}, np.zeros(3)).finish(job, None, [], Facts(1, 0, 0, 1, np.zeros(0, PRESENT), ''))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -9
    assert store.read(JOB) is None
    CommitWriter(store, WORKER, NO_FLOORS).finish(JOB, None, [], facts())
    assert store.has(JOB)


def test_faults_are_kept_and_are_no_results(store: CommitStore) -> None:
    assert store.fault(JOB) is None
    store.note_fault(JOB, "is no audio")
    store.note_fault(JOB, "is empty")
    assert store.fault(JOB) == "is empty"
    assert not store.has(JOB)


def test_a_store_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    store = CommitStore(tmp_path / "store", {})
    with pytest.raises(SinkError, match="cannot be written"):
        CommitWriter(store, WORKER, NO_FLOORS).finish(JOB, None, [], facts())
    with pytest.raises(SinkError, match="cannot be written"):
        store.note_fault(JOB, "x")


def test_a_full_disk_is_said_and_leaves_no_commit(store: CommitStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SinkError, match="No space left"):
        CommitWriter(store, WORKER, NO_FLOORS).finish(JOB, None, [], facts())
    assert names(store) == []
