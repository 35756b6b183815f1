from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from birdwatch.batch.inputs import find_inputs
from birdwatch.batch.jobs import look_at
from birdwatch.errors import ConfigError


@pytest.fixture
def season(tmp_path, monkeypatch):
    for name in ("b.wav", "may/a.WAV", "may/.hidden.txt", "may/._a.wav", "notes.txt", "june/a.flac", "june/b.ogg"):
        (tmp_path / "season" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "season" / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "season"


def names(*arguments, **options):
    return [item.name for item in find_inputs(arguments, **options)]


def test_a_folder_gives_its_recordings_in_order_by_their_paths(season):
    assert names("season") == ["b", "june/a", "june/b", "may/a"]
    assert names("season", recursive=False) == ["b"]


def test_patterns_match_names_or_paths_whatever_their_case(season):
    assert names("season", include=["*.wav"]) == ["b", "may/a"]
    assert names("season", include=["june/*", "B.*"]) == ["b", "june/a", "june/b"]
    with pytest.raises(ConfigError, match=r"holds no recording that matches \*\.mp3"):
        names("season", include=["*.mp3"])


def test_a_file_that_was_named_twice_is_there_once(season):
    assert names("season/b.wav", "season", "season/june/../b.wav") == ["b", "june/a", "june/b", "may/a"]


def test_names_that_would_be_the_same_get_longer(season):
    (season / "b.flac").touch()
    assert names("season", recursive=False) == ["b.flac", "b.wav"]
    assert names("season/june/a.flac", "season/may/a.WAV") == ["a.flac", "a.WAV"]
    (season / "may" / "a.flac").touch()
    assert names("season/june/a.flac", "season/may/a.flac", "season/b.wav") == [
        "season/june/a.flac",
        "season/may/a.flac",
        "b",
    ]


def test_no_name_leads_out_of_a_folder_of_tables(season, tmp_path, monkeypatch):
    (season / "may" / "a.flac").touch()
    monkeypatch.chdir(season / "june")
    found = names("a.flac", "../may/a.flac", str(season / "b.wav"), "../may/a.WAV", "b.ogg")
    assert len(set(found)) == 5
    assert found[1] == "may/a.flac"
    assert not any(name.startswith("/") or ".." in name for name in found)
    (tmp_path / "other" / "may").mkdir(parents=True)
    (tmp_path / "other" / "may" / "a.flac").touch()
    monkeypatch.chdir(tmp_path / "other")
    found = names(
        "may/a.flac", "../season/may/a.flac", "../season/../season/june/a.flac", str(season / "june" / "b.ogg")
    )
    assert len(set(found)) == 4
    assert not any(name.startswith("/") or ".." in name for name in found)


def test_lists_from_a_file_and_from_stdin(season, tmp_path, monkeypatch):
    (tmp_path / "list.txt").write_text("\ufeffseason/b.wav\n\n# the rest\nseason/june\n", encoding="utf-8")
    assert names("@list.txt") == ["b.wav", "a", "b.ogg"]
    monkeypatch.setattr("sys.stdin", io.StringIO("season/may/a.WAV\n"))
    assert names("-") == ["a"]


def test_lists_that_give_nothing_say_so(season, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"the list none\.txt cannot be read"):
        names("@none.txt")
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    with pytest.raises(ConfigError, match="the list is empty"):
        names("-")


def test_what_a_search_leaves_out_is_counted_and_named(season):
    (season / ".hidden").mkdir()
    (season / ".hidden" / "x.wav").touch()
    (season / ".Trash-1000").mkdir()
    (season / "$RECYCLE.BIN").mkdir()
    (season / "june" / ".secret.wav").touch()
    (season / "june" / "c.wac").touch()
    (season / "june" / "d.wac").touch()
    (season / "link").symlink_to(season / "june", target_is_directory=True)
    (season / "round").symlink_to(season, target_is_directory=True)
    (season / "broken.wav").symlink_to(season / "nothing.wav")
    os.mkfifo(season / "pipe.wav")
    (season / "june" / "e.wav.bak").write_bytes(b"RIFF\0\0\0\0WAVEfmt ")
    (season / "june" / "f").write_bytes(b"OggS\0\2")
    (season / "june" / "notes.txt").write_text("two blackbirds")
    said = []
    assert names("season", notice=said.append) == ["b", "june/a", "june/b", "may/a"]
    assert [line.partition(": ")[2] for line in said] == [
        "left out: a hidden file: season/june/.secret.wav",
        "left out: a hidden folder: season/.hidden",
        "left out: a link to a folder: season/link and 1 more",
        "left out: a recording in a format that cannot be read (.wac): season/june/c.wac and 1 more",
        "left out: a recording whose name does not end as one; name it outright: season/june/e.wav.bak and 1 more",
        "left out: a recycle bin or system folder: season/$RECYCLE.BIN and 1 more",
        "left out: no ordinary file (a pipe, a socket, a broken link): season/broken.wav and 1 more",
    ]


def test_a_name_that_is_not_utf_8_becomes_text(season):
    (Path(os.fsdecode(b"season/caf\xe9.wav"))).touch()
    assert names("season") == ["b", r"caf\xe9", "june/a", "june/b", "may/a"]


def test_names_that_no_file_can_have_are_recordings_that_fail(season, tmp_path):
    (tmp_path / "list.txt").write_text("x" * 300 + ".wav\n")
    (season / "loop.wav").symlink_to(season / "loop.wav")
    for argument in ("@list.txt", "season/loop.wav"):
        ((job,),) = look_at(find_inputs([argument]))
        assert job.fault is not None
        assert "\n" not in job.fault


@pytest.mark.parametrize("text", ["a.wav\0b.wav", "a.wav\n".encode("utf-16").decode("latin-1")])
def test_a_list_that_is_no_text_is_one_line(season, tmp_path, text):
    (tmp_path / "list.txt").write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match=r"the list list.txt holds NUL"):
        names("@list.txt")


def test_an_empty_name_is_refused(season):
    with pytest.raises(ConfigError, match="is empty"):
        names("")
