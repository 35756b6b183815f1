"""Any name of a file becomes text, and any name becomes one that a file can have."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from birdwatch.paths import MAX_NAME_BYTES, file_name, text_of


@given(st.binary(min_size=1, max_size=40).filter(lambda data: b"\0" not in data))
def test_the_text_of_any_path_can_be_written_and_utf_8_stays(data: bytes) -> None:
    text = text_of(Path(os.fsdecode(data)))
    assert text.encode("utf-8")
    if b"\xff" not in data and data.isascii() and b"/" not in data and data not in (b".",):
        assert text == data.decode()


@given(st.text(min_size=1, max_size=400).filter(lambda text: "\0" not in text), st.integers(0, 20))
def test_a_name_fits_and_ends_in_its_suffix(name: str, room: int) -> None:
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return
    found = file_name(name, ".labels.txt", room=room)
    assert len(os.fsencode(found)) <= MAX_NAME_BYTES - room
    assert found.endswith(".labels.txt")
    if len(os.fsencode(name)) < 200:
        assert found == name + ".labels.txt"


def test_long_names_that_differ_at_their_end_stay_different() -> None:
    assert file_name("x" * 300 + "a", ".txt") != file_name("x" * 300 + "b", ".txt")
