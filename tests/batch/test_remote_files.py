"""Objects that are written: whole, once where that is asked, and refused in one line, over memory://."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from birdwatch.batch.remote_files import check_store, check_target, delete, download, exists, files_under, upload
from birdwatch.errors import ConfigError, SinkError

SECRET = "https://key:hidden@host/a?X-Amz-Signature=hidden"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a"
    path.write_bytes(b"first")
    return path


def test_what_was_uploaded_comes_back(memory, file):
    assert not exists("memory://out/a")
    assert upload(file, "memory://out/a")
    assert exists("memory://out/a")
    assert not exists("memory://out")
    stream = io.BytesIO(b"something longer than that")
    download("memory://out/a", stream)
    assert stream.getvalue() == b"first"
    delete("memory://out/a")
    delete("memory://out/a")
    assert not exists("memory://out/a")


def test_once_is_once_and_else_the_last_stays(memory, file):
    assert upload(file, "memory://out/a", once=True)
    file.write_bytes(b"second")
    assert not upload(file, "memory://out/a", once=True)
    assert memory.cat_file("/out/a") == b"first"
    assert upload(file, "memory://out/a")
    assert memory.cat_file("/out/a") == b"second"


def test_two_at_the_same_moment(memory, file, monkeypatch):
    """A server that refuses both for now: whoever then finds the object was second."""

    def conflict(source: str, path: str, mode: str) -> None:
        if there:
            memory.pipe_file(path, b"other")
        raise OSError(16, "ConditionalRequestConflict")

    monkeypatch.setattr(memory, "put_file", conflict)
    there = True
    assert not upload(file, "memory://out/a", once=True)
    there = False
    with pytest.raises(OSError, match="ConditionalRequestConflict"):
        upload(file, "memory://out/b", once=True)


def test_the_objects_under_a_folder(memory):
    for name in ("out/b/c", "out/a", "other/x"):
        memory.pipe_file(f"/{name}", b"x")
    assert list(files_under("memory://out")) == ["a", "b/c"]
    assert list(files_under("memory://nowhere")) == []


def test_a_target_is_tried_and_left_as_it_was(memory):
    check_target("memory://out/a", what="--out")
    assert memory.store == {}


@pytest.mark.parametrize("check", [check_store, lambda url: check_target(url, what="--out")])
def test_what_cannot_be_written_is_one_line_without_credentials(memory, monkeypatch, check):
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(f"no: {SECRET}")

    monkeypatch.setattr(memory, "pipe_file", refused)
    with pytest.raises(SinkError, match=r"memory://out/a cannot be written \(permission refused") as caught:
        check("memory://out/a")
    assert "hidden" not in str(caught.value)
    with pytest.raises(ConfigError, match="credentials") as refusal:
        check("s3://key:hidden@bucket/a")
    assert "hidden" not in str(refusal.value)


def test_a_store_must_know_a_first_one(memory, monkeypatch):
    check_store("memory://store")
    check_store("memory://store")
    plain = memory.pipe_file
    monkeypatch.setattr(memory, "pipe_file", lambda path, data, mode="": plain(path, data))
    with pytest.raises(SinkError, match="writes over what is there"):
        check_store("memory://store")
