"""Tables that a person made or changed are not replaced; birdwatch's own are, whatever was killed meanwhile."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from birdwatch.errors import SinkError
from birdwatch.tables.own_files import LIST, OwnFiles, check_replaceable, table_beside
from birdwatch.tables.parquet import METADATA_KEY


def write(path: Path, text: str, own: OwnFiles | None = None) -> None:
    with table_beside(path, own=own) as stream:
        stream.write(text)  # type: ignore[call-overload]


def test_what_was_written_is_replaced_and_the_list_is_what_sha256sum_reads(tmp_path):
    for text in ("a,b\n1,2\n", "a,b\n3,4\n", "a,b\n1,2\n"):
        write(tmp_path / "d.csv", text)
        check_replaceable(tmp_path / "d.csv")
    texts = ("a,b\n1,2\n", "a,b\n3,4\n")
    expected = [f"{hashlib.sha256(text.encode()).hexdigest()}  d.csv" for text in texts]
    assert (tmp_path / LIST).read_text().splitlines() == expected


@pytest.mark.parametrize("change", ["a,b\n1,2\n3,4\n", "a,b\n", "a,b\r\n1,2\r\n", "\ufeffa,b\n1,2\n"])
def test_what_was_changed_stays(tmp_path, change):
    path = tmp_path / "d.csv"
    write(path, "a,b\n1,2\n")
    path.write_bytes(change.encode())
    for replace in (check_replaceable, lambda path: write(path, "new,table\n")):
        with pytest.raises(SinkError, match="was changed after birdwatch wrote it and would be replaced; move it away"):
            replace(path)
    assert path.read_bytes() == change.encode()
    path.unlink()
    write(path, "new,table\n")


def test_what_somebody_else_wrote_stays(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("0.5\t1.5\tGreat Tit\n")
    with pytest.raises(SinkError, match=r"was not written by birdwatch .* and would be replaced"):
        check_replaceable(path)


def test_bytes_of_another_table_are_not_this_ones(tmp_path):
    write(tmp_path / "a.csv", "a,b\n")
    (tmp_path / "a.csv").replace(tmp_path / "b.csv")
    with pytest.raises(SinkError, match=r"b\.csv was not written by birdwatch"):
        check_replaceable(tmp_path / "b.csv")


@pytest.mark.parametrize("content", ["", "old", "\n", " of yesterday\n"])
def test_an_empty_file_or_a_few_words_may_be_replaced_where_it_is_named(tmp_path, content):
    (tmp_path / "d.csv").write_text(content)
    check_replaceable(tmp_path / "d.csv")


def test_in_a_folder_an_empty_file_says_that_nothing_is_there(tmp_path):
    folder = tmp_path / "labels"
    folder.mkdir()
    (folder / "a.labels.txt").touch()
    own = OwnFiles(folder)
    with pytest.raises(SinkError, match=r"a\.labels\.txt was not written by birdwatch"):
        own.check([folder / "a.labels.txt"])
    write(folder / "b.labels.txt", "", own)
    own.check([folder / "b.labels.txt"])


def test_the_first_of_many_is_named_and_the_others_counted(tmp_path):
    for name in "abc":
        (tmp_path / name).write_text("0\t1\tx\n")
    with pytest.raises(SinkError, match=r"/a was not .* would be replaced, as would 2 more files there;"):
        OwnFiles(tmp_path).check(tmp_path / name for name in "abcd")


def test_a_kill_before_the_table_is_in_place_leaves_the_old_one_its_own(tmp_path, monkeypatch):
    path = tmp_path / "d.csv"
    write(path, "a,b\n1,2\n")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            write(path, "a,b\n3,4\n")
    check_replaceable(path)
    path.write_text("a,b\n3,4\n")
    check_replaceable(path)


def test_half_a_line_of_the_list_costs_no_other(tmp_path):
    write(tmp_path / "a.csv", "a,b\n")
    with (tmp_path / LIST).open("ab") as stream:
        stream.write(b"0123456789abcdef")
    write(tmp_path / "b.csv", "a,b\n")
    check_replaceable(tmp_path / "a.csv")
    check_replaceable(tmp_path / "b.csv")


def test_any_name_is_found_again(tmp_path):
    for name in ("a\nb.txt", "back\\slash.txt", os.fsdecode(b"\xff.txt"), "ä 音.txt"):
        write(tmp_path / name, "a\tb\n")
        check_replaceable(tmp_path / name)


def test_a_link_leads_to_the_list_of_the_folder_it_leads_to(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "latest.csv").symlink_to("far/d.csv")
    write(tmp_path / "latest.csv", "a,b\n")
    assert (tmp_path / "far" / LIST).exists()
    check_replaceable(tmp_path / "far" / "d.csv")
    check_replaceable(tmp_path / "latest.csv")


def test_a_folder_with_a_parent_that_cannot_be_written_holds_its_list(tmp_path, monkeypatch):
    folder = tmp_path / "tables"
    folder.mkdir()
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path and access(path, mode))
    write(folder / "a.txt", "a\tb\n", OwnFiles(folder))
    OwnFiles(folder).check([folder / "a.txt"])
    assert not (tmp_path / LIST).exists()


def test_parquet_of_a_run_is_told_by_its_footer_and_other_parquet_stays(tmp_path):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "d.parquet"
    table = pa.table({"a": [1]})
    parquet.write_table(table.replace_schema_metadata({METADATA_KEY: '{"birdwatch": "1"}'}), path)
    check_replaceable(path)
    parquet.write_table(table, path)
    with pytest.raises(SinkError, match="was not written by birdwatch"):
        check_replaceable(path)
    path.write_bytes(b"PAR1\0damaged")
    with pytest.raises(SinkError, match="was not written by birdwatch"):
        check_replaceable(path)
