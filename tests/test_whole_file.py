"""A small file is read whole, and whatever else has its name is refused at once."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from birdwatch import whole_file
from birdwatch.whole_file import read_text, read_whole

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 3_000_000)
    assert read_whole(path, limit=3_000_000) == b"x" * 3_000_000
    with pytest.raises(OSError, match="more than 2999999 bytes"):
        read_whole(path, limit=2_999_999)
    path.write_bytes(b"\xef\xbb\xbfK\xc3\xb6nig")
    assert read_text(path, limit=100) == "König"


@pytest.mark.parametrize("pipes", [False, True])
@pytest.mark.parametrize(
    ("name", "match"), [("/dev/zero", "no ordinary file"), (".", "Is a directory"), ("no", "No such")]
)
def test_what_is_no_file_is_refused(tmp_path: Path, name: str, match: str, pipes: bool) -> None:
    with pytest.raises(OSError, match=match):
        read_whole(tmp_path / name, limit=100, pipes=pipes)


def test_a_pipe_is_read_to_its_end_and_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no ordinary file"):
        read_whole(tmp_path / "pipe", limit=100)
    read, write = os.pipe()
    try:
        writer = threading.Thread(target=lambda: (os.write(write, b"Parus major\n" * 20_000), os.close(write)))
        writer.start()
        assert read_text(Path(f"/dev/fd/{read}"), limit=10**6) == "Parus major\n" * 20_000
        writer.join()
    finally:
        os.close(read)
    monkeypatch.setattr(whole_file, "PIPE_S", 0.05)
    with pytest.raises(OSError, match="nothing was written"):
        read_text(tmp_path / "pipe", limit=100)
