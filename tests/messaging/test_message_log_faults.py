"""A message log whose file is damaged, removed, owned by another station or on a disk that refuses."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from log_entries import MB, entry, seqs

from birdwatch.messaging.message_log import FORMAT, MessageLog
from birdwatch.messaging.message_pages import read_log
from birdwatch.process import open_files


@pytest.mark.parametrize("content", [b"this is no database, it is a text file\n" * 100, os.urandom(20_000)])
def test_a_damaged_file_is_set_aside_and_said(
    open_journal: Callable[..., MessageLog], tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "j.db"
    path.write_bytes(content)
    journal = open_journal()
    journal.append([entry(1)])
    assert seqs(journal, 0) == [("b0", 1)]
    assert journal.fault is None
    assert (tmp_path / "j.db.damaged").read_bytes() == content
    assert "was damaged" in caplog.text
    assert "j.db.damaged" in caplog.text


def test_a_file_damaged_in_its_middle_is_set_aside_when_that_is_noticed(
    open_journal: Callable[..., MessageLog], tmp_path: Path
) -> None:
    path = tmp_path / "j.db"
    journal = open_journal()
    journal.append([entry(seq, size=3000) for seq in range(1, 500)])
    journal.close()
    data = bytearray(path.read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)
    path.write_bytes(data)
    journal = open_journal()
    for seq in range(500, 510):
        journal.append([entry(seq, "b1")])
    assert (tmp_path / "j.db.damaged").exists()
    assert seqs(journal, 0)[-1] == ("b1", 509)
    assert journal.written + journal.dropped == 10


def test_a_file_of_another_format_is_set_aside(open_journal: Callable[..., MessageLog], tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "j.db")) as database:
        database.execute("CREATE TABLE t (x)")
        database.execute(f"PRAGMA user_version = {FORMAT + 1}")
    journal = open_journal()
    journal.append([entry(1)])
    assert (journal.written, journal.dropped) == (1, 0)
    assert (tmp_path / "j.db.damaged").exists()


@pytest.mark.parametrize("place", ["/proc/birdwatch/j.db", "FILE/j.db", "FOLDER", "FOLDER/pipe", "FOLDER/device"])
def test_where_nothing_can_be_written_all_is_counted_and_said_once(
    open_journal: Callable[..., MessageLog], tmp_path: Path, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/full")
    path = Path(place.replace("FILE", str(tmp_path / "file")).replace("FOLDER", str(tmp_path)))
    with caplog.at_level(logging.WARNING):
        journal = open_journal(path)
        for seq in range(1, 101):
            journal.append([entry(seq)])
    assert (journal.written, journal.dropped) == (0, 100)
    assert journal.fault is not None
    assert str(path) in journal.fault
    assert len(caplog.records) == 1
    assert journal.read(0, None).entries == ()


def test_a_folder_that_can_be_written_again_is_used_again(
    open_journal: Callable[..., MessageLog], tmp_path: Path
) -> None:
    now = [0.0]
    (tmp_path / "state").touch()
    journal = open_journal(tmp_path / "state" / "j.db", clock=lambda: now[0])
    journal.append([entry(1)])
    (tmp_path / "state").unlink()
    journal.append([entry(2)])
    now[0] += 61.0
    journal.append([entry(3)])
    assert (journal.written, journal.dropped, journal.fault) == (1, 2, None)
    assert journal.read(0, "b0").missing is None or seqs(journal, 0) == [("b0", 3)]


def test_a_full_disk_costs_messages_but_no_error_and_is_over_when_it_is(tmp_path: Path) -> None:
    # The kernel refuses to let the file grow, as a full disk does, until the limit is lifted.
    program = """
import resource, sys
from pathlib import Path
from birdwatch.messaging.message_log import MessageLog
from birdwatch.process import open_files
from birdwatch.messaging.message_pages import Entry
journal = MessageLog(Path(sys.argv[1]), max_bytes=10**8)
def fill(first):
    for seq in range(first, first + 50):
        journal.append([Entry("b0", seq, b"birdwatch/1/event/g/-/", b"x" * 20_000)])
fill(1)
before = journal.written
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
fill(51)
assert journal.dropped > 0 and journal.fault, (journal.dropped, journal.fault)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
fill(101)
assert journal.fault is None, journal.fault
assert journal.written + journal.dropped == 150
page = journal.read(0, "b0", limit=1000)
seen = len(page.entries)
while page.more:
    page = journal.read(page.seq, "b0", limit=1000)
    seen += len(page.entries)
assert seen == journal.written, (seen, journal.written)
assert page.seq == 150
print(before, journal.written, journal.dropped)
"""
    result = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "j.db")], capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    assert "publishing continues" in result.stderr


def test_a_killed_station_loses_nothing_that_was_kept(open_journal: Callable[..., MessageLog], tmp_path: Path) -> None:
    program = """
import os, sys, signal
from pathlib import Path
from birdwatch.messaging.message_log import MessageLog
from birdwatch.process import open_files
from birdwatch.messaging.message_pages import Entry
journal = MessageLog(Path(sys.argv[1]), max_bytes=10**7)
for seq in range(1, 201):
    journal.append([Entry("b0", seq, b"t", b"x")])
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "j.db")], timeout=60, check=False)
    page = open_journal().read(0, "b0")
    assert [e.seq for e in page.entries] == [*range(1, 201)]


def test_one_station_owns_the_file_and_the_other_says_who(
    open_journal: Callable[..., MessageLog], tmp_path: Path
) -> None:
    first = open_journal()
    first.append([entry(1)])
    now = [0.0]
    with closing(MessageLog(tmp_path / "j.db", max_bytes=MB, clock=lambda: now[0])) as second:
        second.append([entry(1, "b1")])
        assert (second.written, second.dropped) == (0, 1)
        assert f"in use by another birdwatch (process {os.getpid()})" in (second.fault or "")
        first.append([entry(2)])
        assert seqs(first, 0) == [("b0", 1), ("b0", 2)]
        first.close()
        now[0] += 61.0
        second.append([entry(2, "b1")])
        assert (second.written, second.dropped, second.fault) == (1, 1, None)


def test_a_killed_owner_leaves_no_lock(open_journal: Callable[..., MessageLog], tmp_path: Path) -> None:
    program = """
import os, signal, sys
from pathlib import Path
from birdwatch.messaging.message_log import MessageLog
from birdwatch.process import open_files
kept = MessageLog(Path(sys.argv[1]), max_bytes=10**7)
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "j.db")], timeout=60, check=False)
    journal = open_journal()
    journal.append([entry(1)])
    assert journal.written == 1


@pytest.mark.parametrize("removed", ["file", "folder"])
def test_a_removed_file_is_begun_again_and_said(tmp_path: Path, removed: str) -> None:
    path = tmp_path / "state" / "j.db"
    with closing(MessageLog(path, max_bytes=MB)) as journal:
        journal.append([entry(1)])
        path.unlink() if removed == "file" else shutil.rmtree(tmp_path / "state")
        journal.append([entry(2)])
        assert journal.fault is None
        assert "was removed; a new one was begun" in (journal.replaced or "")
        assert seqs(journal, 0) == [("b0", 2)]
        assert read_log(path, 0, "b0").missing == 1


def _rows(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE messages SET body = 7 WHERE seq = 2",
        "UPDATE messages SET body = 'text' WHERE seq = 2",
        "UPDATE messages SET topic = x'ff00' WHERE seq = 2",
        "UPDATE messages SET seq = 'two' WHERE seq = 2",
        "UPDATE messages SET seq = 2.5 WHERE seq = 2",
        "UPDATE messages SET boot = 99 WHERE seq = 2",
    ],
)
def test_a_row_of_wrong_types_is_missing_and_costs_no_other(
    open_journal: Callable[..., MessageLog], tmp_path: Path, statement: str
) -> None:
    open_journal().append([entry(1), entry(2), entry(3)])
    _rows(tmp_path / "j.db", statement)
    journal = open_journal()
    page = journal.read(0, "b0")
    assert [e.seq for e in page.entries if e.boot_id == "b0"] == [1, 3]
    assert (page.missing, journal.fault) == (1, None)
    journal.append([entry(4)])
    assert journal.written == 1


@pytest.mark.slow
def test_wherever_a_byte_is_flipped_the_log_continues(tmp_path: Path) -> None:
    """Each page's beginning, the whole of the schema's text, and random bytes: what is kept afterwards can be read."""
    path = tmp_path / "j.db"
    with closing(MessageLog(path, max_bytes=10 * MB)) as journal:
        journal.append([entry(seq, size=200) for seq in range(1, 200)])
    content = path.read_bytes()
    schema_at = content.index(b"CREATE TABLE boots")
    places = [*range(0, 120, 3), *range(schema_at - 60, schema_at + 420, 7), *range(4096, len(content), 4096 + 13)]
    for place in places:
        for suffix in ("", "-wal", "-shm", ".damaged"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        path.write_bytes(content[:place] + bytes((content[place] ^ 0xA6,)) + content[place + 1 :])
        with closing(MessageLog(path, max_bytes=10 * MB)) as journal:
            journal.append([entry(1, "b1"), entry(2, "b1")])
            if journal.dropped:  # noticed by the write: the next one is kept
                journal.append([entry(1, "b1"), entry(2, "b1")])
            assert [e.seq for e in journal.read(0, "b1").entries][-2:] == [1, 2], place
            journal.read(0, "b0")
            assert journal.fault is None, (place, journal.fault)
            assert journal.replaced is None or Path(f"{path}.damaged").exists()


def test_the_check_gives_way_when_the_station_stops(open_journal: Callable[..., MessageLog], tmp_path: Path) -> None:
    open_journal(max_bytes=50 * MB).append([entry(seq, size=2000) for seq in range(1, 5001)])
    open_journal().close()
    journal = MessageLog.__new__(MessageLog)
    journal._hurried = True
    with closing(sqlite3.connect(tmp_path / "j.db")) as database:
        database.text_factory = bytes
        journal._check(database)  # comes back without an answer, and without an error
        assert database.execute("SELECT count(*) FROM messages").fetchone()[0] > 0


def test_a_link_to_the_file_of_another_station_is_the_same_file(
    open_journal: Callable[..., MessageLog], tmp_path: Path
) -> None:
    first = open_journal()
    first.append([entry(1)])
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link.db").symlink_to(tmp_path / "j.db")
    with closing(MessageLog(tmp_path / "elsewhere" / "link.db", max_bytes=MB)) as second:
        second.append([entry(1, "b1")])
        assert "in use by another birdwatch" in (second.fault or "")
    assert seqs(first, 0) == [("b0", 1)]


def test_the_lock_is_no_way_to_overwrite_what_a_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "j.db.lock").symlink_to(tmp_path / "precious")
    with closing(MessageLog(tmp_path / "j.db", max_bytes=MB)) as journal:
        journal.append([entry(1)])
        assert journal.dropped == 1
        assert "j.db.lock" in (journal.fault or "")
    assert (tmp_path / "precious").read_text() == "kept"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_lock_that_cannot_be_written_costs_no_descriptor(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "j.db.lock")
    now = [0.0]
    with closing(MessageLog(tmp_path / "j.db", max_bytes=MB, clock=lambda: now[0])) as journal:
        before = open_files()
        for _ in range(5):
            now[0] += 61.0
            journal.append([entry(1)])
            assert journal.fault is not None
        assert open_files() == before
