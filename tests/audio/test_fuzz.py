"""Damaged recordings and headers of every container: decoded or refused in one line, in bounded memory.

What once failed stays as an `@example`. `make fuzz` runs these for long.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from recordings import BY_FFMPEG, BY_LIBSNDFILE, written

from birdwatch.audio.file import AudioFile
from birdwatch.audio.resample import Resampler
from birdwatch.audio.timestamps import audiomoth_start, guano_start, name_start, utc_text, zone
from birdwatch.audio.types import AudioBlock
from birdwatch.audio.wav_header import read_wav_header
from birdwatch.errors import DecodeError
from birdwatch.process import rss_mb

pytestmark = [pytest.mark.slow, pytest.mark.fuzz]

# Every codec here writes at least this many bits for each second; longer audio would be made up.
MIN_BITS_PER_S = 100
GROWTH_MB = 600.0
ONE_FUNCTION = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# Where (a share of the file; half of them in its first bytes, where the headers are), and what is put there.
places = st.one_of(st.floats(0, 1), st.floats(0, 0.02))
changes = st.lists(st.tuples(places, st.binary(min_size=1, max_size=8)), max_size=6)
kept_shares = st.one_of(st.just(1.0), st.floats(0, 1))


def mutated(content: bytes, changed: list[tuple[float, bytes]], kept: float) -> bytes:
    data = bytearray(content)
    for share, new in changed:
        at = min(len(data) - 1, int(share * len(data)))
        data[at : at + len(new)] = new
    return bytes(data[: int(kept * len(data))])


def assert_decoded_or_refused(path: Path) -> None:
    before = rss_mb()
    try:
        audio = AudioFile(path)
        frames = 0
        for block in audio.blocks():
            assert block.start_frame >= frames
            frames = block.end_frame
        assert frames / audio.rate_hz < 4000 + path.stat().st_size * 8 / MIN_BITS_PER_S
        audio.start_utc_ns()
        assert all("\n" not in warning for warning in audio.warnings)
    except DecodeError as error:
        refusal: DecodeError | None = error
    else:
        refusal = None
    assert refusal is None or (refusal.path == path and "\n" not in str(refusal))
    assert rss_mb() - before < GROWTH_MB


@pytest.mark.parametrize("name", [*BY_LIBSNDFILE, *BY_FFMPEG])
def test_a_damaged_recording_is_decoded_or_refused(
    tmp_path_factory: pytest.TempPathFactory, song: NDArray[np.float32], name: str
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    original = written(folder / name, song[:32000]).read_bytes()
    path = folder / f"damaged{Path(name).suffix}"

    @ONE_FUNCTION
    @example([], 1.0)
    @example([], 0.5)
    @example([(0.02, b"\xff" * 8)], 1.0)
    @given(changes, kept_shares)
    def check(changed: list[tuple[float, bytes]], kept: float) -> None:
        path.write_bytes(mutated(original, changed, kept))
        assert_decoded_or_refused(path)

    check()


names_of_chunks = st.sampled_from([b"fmt ", b"data", b"LIST", b"guan", b"ds64", b"fact", b"\0\0\0\0", b"bext"])
sizes = st.one_of(st.none(), st.integers(0, 40), st.sampled_from([0xFFFFFFFF, 0x7FFFFFFF, 0x80000000]))
chunks = st.lists(st.tuples(names_of_chunks, sizes, st.binary(max_size=60)), max_size=8)
formats = st.tuples(
    st.sampled_from([0, 1, 2, 3, 6, 7, 0x11, 0x55, 0xFFFE, 0xFFFF]),
    st.sampled_from([0, 1, 2, 255, 65535]),
    st.one_of(st.sampled_from([0, 1, 999, 1000, 32000, 2**31, 2**32 - 1]), st.integers(0, 2**32 - 1)),
    st.integers(0, 65535),
    st.sampled_from([0, 1, 4, 8, 12, 16, 24, 32, 64, 65535]),
)


@ONE_FUNCTION
@given(st.sampled_from([b"RIFF", b"RIFX", b"RF64", b"BW64"]), formats, chunks)
def test_any_wav_header_is_decoded_or_refused(
    tmp_path: Path, magic: bytes, form: tuple[int, int, int, int, int], parts: list[tuple[bytes, int | None, bytes]]
) -> None:
    tag, channels, rate_hz, align, bits = form
    order = ">" if magic == b"RIFX" else "<"
    body = b"WAVEfmt " + struct.pack(f"{order}IHHIIHH", 16, tag, channels, rate_hz, rate_hz, align, bits)
    for name, size, data in parts:
        body += name + struct.pack(f"{order}I", len(data) if size is None else size) + data
    path = tmp_path / "a.wav"
    path.write_bytes(magic + struct.pack(f"{order}I", len(body)) + body)
    header = read_wav_header(path)
    assert header is None or 0 <= header.frames * header.frame_bytes <= len(body)
    assert_decoded_or_refused(path)


@ONE_FUNCTION
@given(st.binary(max_size=2000))
def test_any_bytes_are_decoded_or_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(data)
    assert_decoded_or_refused(path)


@settings(deadline=None)
@given(st.one_of(st.integers(1000, 1_000_000), st.sampled_from([1000, 8000, 44100, 96000, 384000, 999_983, 1_000_000])))
def test_any_rate_is_resampled_in_bounded_memory(rate_hz: int) -> None:
    before = rss_mb()
    stream = Resampler(rate_hz, 32000)
    out = [*stream.push(AudioBlock(np.zeros(rate_hz, np.float32), 0, rate_hz)), *stream.finish()]
    assert sum(len(block.samples) for block in out) == pytest.approx(32000, abs=2)
    assert rss_mb() - before < GROWTH_MB


texts = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="0123456789ABCDEF_-+TZ:.$ ", max_size=40),
    st.from_regex(r"\d{8}[T_]\d{6}(\.\d{1,12})?([+-]\d{2,6}|Z)?", fullmatch=True),
)


stamps = st.builds(
    "{:04}-{:02}-{:02}T{:02}:00:00{}".format,
    st.sampled_from([1, 2, 1969, 1970, 2024, 2200, 9998, 9999]),
    st.integers(0, 13),
    st.integers(0, 32),
    st.integers(0, 24),
    st.sampled_from(["", "Z", "+14:00", "-12:00", "+23:59", "-23:59"]),
)


@example("", "", "9999-12-31T23:59:59-05:00")
@example("", "", "0001-01-01T00:00:00+14:00")
@given(texts, texts, st.one_of(texts, stamps))
def test_any_name_comment_and_guano_give_a_time_or_none(name: str, comment: str, stamp: str) -> None:
    for where in (zone("Europe/Berlin"), zone("-12:00"), zone("+14:00")):
        for found in (name_start(name, where), guano_start(f"GUANO|Version: 1.0\nTimestamp: {stamp}", where)):
            assert found is None or utc_text(found).endswith("Z")
    for text in (comment, f"Recorded at {comment} by AudioMoth"):
        assert audiomoth_start(text) is None or isinstance(audiomoth_start(text), int)


@given(
    st.tuples(*(st.integers(0, top) for top in (99, 99, 99, 99, 99, 9999))),
    st.one_of(st.just(""), st.from_regex(r"[+-]\d{1,2}(:\d{2})?", fullmatch=True)),
)
def test_any_audiomoth_comment_gives_a_time_or_none(numbers: tuple[int, ...], offset: str) -> None:
    hour, minute, second, day, month, year = numbers
    comment = f"Recorded at {hour:02}:{minute:02}:{second:02} {day:02}/{month:02}/{year:04} (UTC{offset}) by AudioMoth"
    found = audiomoth_start(comment)
    assert found is None or isinstance(utc_text(found), str)
