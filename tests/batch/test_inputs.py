from __future__ import annotations

import io

import pytest

from birdwatch.batch.inputs import find_inputs
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
