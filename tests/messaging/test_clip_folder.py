from __future__ import annotations

import os
from pathlib import Path

import pytest

from birdwatch.messaging.clip_folder import CHUNK_BYTES, ClipFolder

NAME = "20250501T041203Z_garden_houspa_b0-7.flac"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.01
        return self.now


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES])
def test_chunks_are_bounded_and_together_the_file(tmp_path: Path, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    (tmp_path / NAME).write_bytes(content)
    folder, read, more = ClipFolder(tmp_path), b"", True
    while more:
        chunk = folder.chunk("b0-7", len(read))
        assert chunk is not None
        assert (chunk.name, chunk.size, chunk.offset) == (NAME, size, len(read))
        assert len(chunk.content) <= CHUNK_BYTES
        read, more = read + chunk.content, chunk.more
    assert read == content


def test_a_clip_that_comes_later_is_found_and_one_that_was_removed_is_not(tmp_path: Path) -> None:
    clock = Clock()
    folder = ClipFolder(tmp_path / "clips", clock=clock)
    assert folder.chunk("b0-7", 0) is None
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / NAME).write_bytes(b"fLaC")
    assert folder.chunk("b0-7", 0) is not None
    (tmp_path / "clips" / NAME).unlink()
    assert folder.chunk("b0-7", 0) is None
    (tmp_path / "clips" / NAME.replace("b0-7", "b0-8")).write_bytes(b"fLaC")
    clock.now += 60
    assert folder.chunk("b0-8", 0) is not None


def test_questions_cannot_make_it_list_the_folder_all_the_time(tmp_path: Path) -> None:
    clock = Clock()
    folder = ClipFolder(tmp_path, clock=clock)
    folder.chunk("b0-1", 0)
    (tmp_path / NAME).write_bytes(b"fLaC")
    assert folder.chunk("b0-7", 0) is None  # too soon: listing took 10 ms, so 200 ms pass before the next one
    clock.now += 0.2
    assert folder.chunk("b0-7", 0) is not None


@pytest.mark.parametrize(
    "event_id", ["../secret", "/etc/passwd", "..", ".", "", "\0", "b0-7/../../secret", "*", "x" * 5000]
)
def test_no_question_leaves_the_folder(tmp_path: Path, event_id: str) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "secret.flac").write_bytes(b"secret")
    (tmp_path / "clips" / NAME).write_bytes(b"fLaC")
    assert ClipFolder(tmp_path / "clips").chunk(event_id, 0) is None


def test_links_folders_and_fifos_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    clips = tmp_path / "clips"
    clips.mkdir()
    (clips / "a_b0-1.flac").symlink_to(tmp_path / "secret")
    (clips / "a_b0-2.flac").mkdir()
    os.mkfifo(clips / "a_b0-3.flac")
    folder = ClipFolder(clips)
    assert [folder.chunk(f"b0-{number}", 0) for number in (1, 2, 3)] == [None] * 3


def test_an_offset_behind_the_end_gives_nothing_more(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"fLaC")
    chunk = ClipFolder(tmp_path).chunk("b0-7", 2**62)
    assert chunk is not None
    assert (chunk.content, chunk.more) == (b"", False)
