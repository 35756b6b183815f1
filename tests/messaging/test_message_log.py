from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from log_entries import MB, entry, seqs

from birdwatch.errors import SinkError
from birdwatch.messaging.message_log import MessageLog
from birdwatch.messaging.message_pages import PAGE_BYTES, read_log


def test_what_went_in_comes_out(open_journal: Callable[..., MessageLog]) -> None:
    journal = open_journal()
    entries = [entry(seq, size=seq) for seq in range(1, 6)]
    journal.append(entries[:2])
    journal.append(entries[2:])
    page = journal.read(0, "b0")
    assert page.entries == tuple(entries)
    assert (page.boot_id, page.seq, page.more, page.missing) == ("b0", 5, False, 0)
    assert (journal.written, journal.dropped, journal.fault) == (5, 0, None)


def test_an_empty_journal_has_nothing(open_journal: Callable[..., MessageLog]) -> None:
    page = open_journal().read(7, None)
    assert (page.entries, page.more, page.missing) == ((), False, 0)


def test_later_boots_follow_and_without_a_boot_it_is_the_newest(open_journal: Callable[..., MessageLog]) -> None:
    open_journal().append([entry(1), entry(2)])
    journal = open_journal()  # opened again, as after a restart
    journal.append([entry(1, "b1"), entry(2, "b1")])
    assert seqs(journal, 1, "b0") == [("b0", 2), ("b1", 1), ("b1", 2)]
    assert seqs(journal, 1) == [("b1", 2)]


def test_an_unknown_boot_gets_all_and_what_is_missing_is_unknown(open_journal: Callable[..., MessageLog]) -> None:
    journal = open_journal()
    journal.append([entry(1), entry(2)])
    page = journal.read(99, "another")
    assert [e.seq for e in page.entries] == [1, 2]
    assert page.missing is None


def test_holes_are_counted(open_journal: Callable[..., MessageLog]) -> None:
    journal = open_journal()
    journal.append([entry(3), entry(4), entry(7), entry(3, "b1")])
    assert journal.read(0, "b0").missing == 2 + 2 + 2
    assert journal.read(4, "b0").missing == 2 + 2
    assert journal.read(7, "b0").missing == 2


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(
    boots=st.lists(st.sets(st.integers(1, 30), min_size=1), min_size=1, max_size=3),
    since=st.integers(0, 31),
    start=st.integers(0, 2),
    limit=st.integers(1, 7),
)
def test_pages_joined_are_all_that_is_there(
    tmp_path: Path, boots: list[set[int]], since: int, start: int, limit: int
) -> None:
    (tmp_path / "h.db").unlink(missing_ok=True)
    start = min(start, len(boots) - 1)
    with closing(MessageLog(tmp_path / "h.db", max_bytes=10 * MB)) as journal:
        for number, numbers in enumerate(boots):
            journal.append([entry(seq, f"b{number}") for seq in sorted(numbers)])
        got: list[tuple[str, int]] = []
        missing = 0
        boot: str | None = f"b{start}"
        seq, more = since, True
        while more:
            page = journal.read(seq, boot, limit=limit)
            assert len(page.entries) <= limit
            got += [(e.boot_id, e.seq) for e in page.entries]
            assert page.missing is not None
            missing += page.missing
            seq, boot, more = page.seq, page.boot_id, page.more
    wanted = [
        (f"b{number}", seq)
        for number, numbers in enumerate(boots)
        for seq in sorted(numbers)
        if number > start or (number == start and seq > since)
    ]
    assert got == wanted
    last = {boot: max(s for b, s in wanted if b == boot) for boot, _ in wanted}
    expected = sum(top - (since if boot == f"b{start}" else 0) for boot, top in last.items()) - len(wanted)
    assert missing == expected


def test_a_prefix_takes_some_and_holes_still_count_over_all(open_journal: Callable[..., MessageLog]) -> None:
    journal = open_journal()
    journal.append([entry(s, kind="gap" if s % 2 else "event") for s in (1, 2, 3, 5, 6)])
    page = journal.read(0, "b0", prefix="birdwatch/1/gap/")
    assert [e.seq for e in page.entries] == [1, 3, 5]
    assert (page.seq, page.missing) == (6, 1)


def test_a_page_is_bounded_in_bytes_and_one_large_message_still_fits(open_journal: Callable[..., MessageLog]) -> None:
    journal = open_journal(max_bytes=100 * MB)
    journal.append([entry(1, size=PAGE_BYTES + 1), entry(2, size=PAGE_BYTES // 2), entry(3, size=PAGE_BYTES)])
    first = journal.read(0, "b0")
    assert ([e.seq for e in first.entries], first.more) == ([1], True)
    second = journal.read(first.seq, "b0")
    assert ([e.seq for e in second.entries], second.more) == ([2], True)


def test_the_file_is_bounded_and_the_oldest_go_first(open_journal: Callable[..., MessageLog], tmp_path: Path) -> None:
    journal = open_journal(max_bytes=MB)
    for start in range(1, 20_001, 100):
        journal.append([entry(seq, f"b{seq // 5000}", size=500) for seq in range(start, start + 100)])
        assert (tmp_path / "j.db").stat().st_size < 1.1 * MB
    total = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert total < 6 * MB
    page = journal.read(0, "b3", limit=100_000)
    kept = [e.seq for e in page.entries]
    assert kept == list(range(kept[0], 20_001))
    assert len(kept) > 1000
    assert journal.dropped == 0
    # The boots of which nothing is left are forgotten too.
    assert journal.read(0, "b0").missing is None


def test_a_lower_bound_makes_the_file_smaller_when_it_is_next_opened(
    open_journal: Callable[..., MessageLog], tmp_path: Path
) -> None:
    open_journal(max_bytes=4 * MB).append([entry(seq, size=1000) for seq in range(1, 3001)])
    big = (tmp_path / "j.db").stat().st_size
    journal = open_journal(max_bytes=MB)
    journal.append([entry(3001)])
    journal.close()
    with closing(sqlite3.connect(tmp_path / "j.db")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert (tmp_path / "j.db").stat().st_size < 1.1 * MB < big


def test_the_file_of_a_running_station_can_be_read(open_journal: Callable[..., MessageLog], tmp_path: Path) -> None:
    journal = open_journal()
    journal.append([entry(1), entry(2)])
    assert [e.seq for e in read_log(tmp_path / "j.db", 1, "b0").entries] == [2]
    journal.append([entry(3)])
    assert [e.seq for e in read_log(tmp_path / "j.db", 1, None).entries] == [2, 3]


def test_what_is_no_journal_is_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database\n" * 1000)
    sqlite3.connect(tmp_path / "other.db").close()
    for name in ("text", "none.db", "."):
        with pytest.raises(SinkError, match=r"cannot be read: .*--journal"):
            read_log(tmp_path / name, 0, None)
