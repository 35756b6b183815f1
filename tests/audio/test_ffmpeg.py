"""Recordings end where their decoder ends: lying lengths, joined and chained files, damage in the middle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from recordings import encoded

from birdwatch.audio.ffmpeg_frames import samples_of
from birdwatch.audio.file import AudioFile
from birdwatch.errors import DecodeError

Song = NDArray[np.float32]
RATE_HZ = 32000


def decoded(path: Path) -> tuple[Song, list[str]]:
    audio = AudioFile(path)
    blocks = list(audio.blocks())
    samples = np.zeros(blocks[-1].end_frame, np.float32)
    for block in blocks:
        samples[block.start_frame : block.end_frame] = block.samples
    return samples, audio.warnings


def assert_sounds_like(found: Song, expected: Song, least: float = 0.9) -> None:
    """The same sound, whatever a lossy codec does to its samples: correlated at the best shift of up to 50 ms."""
    n = min(len(found), len(expected)) - 4000
    shifts = range(-3200, 3200)
    spectrum = np.fft.rfft(found[: n + 3200], 2 * (n + 3200))
    lag = np.fft.irfft(spectrum * np.conj(np.fft.rfft(expected[:n], 2 * (n + 3200))))
    best = max(float(lag[shift]) for shift in shifts)
    assert best / np.sqrt(np.sum(found[:n] ** 2.0) * np.sum(expected[:n] ** 2.0)) > least


@pytest.mark.parametrize(
    ("name", "codec", "rate_hz"),
    [
        ("a.m4a", "aac", RATE_HZ),
        ("a.aac", "aac", RATE_HZ),
        ("a.3gp", "aac", RATE_HZ),
        ("b.m4a", "alac", RATE_HZ),
        ("a.wma", "wmav2", RATE_HZ),
        ("a.wv", "wavpack", RATE_HZ),
        ("a.webm", "libopus", 48000),
        ("a.mp3", "libmp3lame", RATE_HZ),
        ("a.tta", "tta", RATE_HZ),
    ],
)
def test_what_phones_and_field_kit_write_is_read(
    tmp_path: Path, song: Song, name: str, codec: str, rate_hz: int
) -> None:
    found, warnings = decoded(encoded(tmp_path / name, song, codec, rate_hz=rate_hz))
    assert warnings == []
    assert len(found) == pytest.approx(len(song), abs=4096)
    assert_sounds_like(found, song)


def test_flac_is_exact_to_the_bit(tmp_path: Path, song: Song) -> None:
    for subtype, bits in (("PCM_16", 16), ("PCM_24", 24)):
        path = tmp_path / f"{subtype}.flac"
        soundfile.write(path, song, RATE_HZ, subtype=subtype)
        expected, _ = soundfile.read(path, dtype="float32")
        np.testing.assert_array_equal(decoded(path)[0], expected, err_msg=str(bits))


def test_an_mp3_with_a_variable_rate_and_no_index(tmp_path: Path, song: Song) -> None:
    quiet_then_loud = np.concatenate([song * 1e-4, song])
    path = encoded(tmp_path / "a.mp3", quiet_then_loud, "libmp3lame", write_xing="0")
    found, warnings = decoded(path)
    assert warnings == []
    assert len(found) == pytest.approx(26 * RATE_HZ, abs=4096)


@pytest.mark.parametrize(
    ("suffix", "codec", "options"), [("mp3", "libmp3lame", {"write_xing": "0"}), ("aac", "aac", {})]
)
@pytest.mark.parametrize("bit_rates", [(32000, 128000), (128000, 32000)])
def test_a_length_that_ffmpeg_estimates_is_no_claim_of_the_file(
    tmp_path: Path, song: Song, suffix: str, codec: str, options: dict[str, Any], bit_rates: tuple[int, int]
) -> None:
    """Neither has a length in its header; the bit rate of the beginning gives too long or too short a one."""
    parts = [
        encoded(tmp_path / f"{bit_rate}.{suffix}", song, codec, bit_rate=bit_rate, **options).read_bytes()
        for bit_rate in bit_rates
    ]
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(b"".join(parts))
    found, warnings = decoded(path)
    assert len(found) == pytest.approx(26 * RATE_HZ, abs=8192)
    # At the joint a packet may lack the bits that the one before it carried for it.
    assert [warning for warning in warnings if "header" in warning] == []


def test_an_mp3_that_was_cut_off_is_named_by_its_index(tmp_path: Path, song: Song) -> None:
    whole = encoded(tmp_path / "whole.mp3", song, "libmp3lame").read_bytes()
    path = tmp_path / "cut.mp3"
    path.write_bytes(whole[: len(whole) // 2])
    _, warnings = decoded(path)
    assert len(warnings) == 1
    assert "breaks off after 6." in warnings[0]
    assert "of the 13.0 s that its header claims" in warnings[0]


def test_two_mp3_joined(tmp_path: Path, song: Song) -> None:
    one = encoded(tmp_path / "one.mp3", song, "libmp3lame")
    path = tmp_path / "both.mp3"
    path.write_bytes(one.read_bytes() * 2)
    found, _ = decoded(path)
    assert len(found) == pytest.approx(26 * RATE_HZ, abs=8192)
    assert_sounds_like(found[13 * RATE_HZ :], song)


@pytest.mark.parametrize(("form", "subtype", "rate_hz"), [("OGG", "VORBIS", RATE_HZ), ("OGG", "OPUS", 48000)])
def test_chained_ogg(tmp_path: Path, song: Song, form: str, subtype: str, rate_hz: int) -> None:
    whole = b""
    for number, part in enumerate((song[: 6 * RATE_HZ], song[6 * RATE_HZ :])):
        piece = tmp_path / f"{number}.ogg"
        soundfile.write(piece, part, rate_hz, format=form, subtype=subtype)
        whole += piece.read_bytes()
    path = tmp_path / "chained.ogg"
    path.write_bytes(whole)
    found, _ = decoded(path)
    assert len(found) == pytest.approx(len(song), abs=4096)


def test_a_flac_of_unknown_length_as_a_pipe_leaves_it(tmp_path: Path, song: Song) -> None:
    for seconds in (0.2, 2, 13):
        path = tmp_path / "a.flac"
        soundfile.write(path, song[: round(seconds * RATE_HZ)], RATE_HZ)
        data = bytearray(path.read_bytes())
        # STREAMINFO: 36 bits of total samples from bit 108 of the block that begins at byte 8.
        data[8 + 13] &= 0xF0
        data[8 + 14 : 8 + 18] = bytes(4)
        path.write_bytes(data)
        audio = AudioFile(path)
        assert audio.duration_s == 0.0
        found, warnings = decoded(path)
        assert (len(found), warnings) == (round(seconds * RATE_HZ), [])
        assert audio.frames == len(found)


@pytest.mark.parametrize("suffix", ["flac", "mp3", "ogg"])
def test_samples_after_damage_keep_their_time_and_the_damage_is_said_once(
    tmp_path: Path, song: Song, suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"a.{suffix}"
    long = np.concatenate([song, song])
    soundfile.write(path, long, RATE_HZ)
    data = bytearray(path.read_bytes())
    at = len(data) * 4 // 10
    data[at : at + 6000] = np.random.default_rng(1).bytes(6000)
    path.write_bytes(data)
    found, warnings = decoded(path)
    assert len(found) == pytest.approx(len(long), abs=9000)
    assert 1 <= len(warnings) <= 3
    assert_sounds_like(found[18 * RATE_HZ :], long[18 * RATE_HZ :])
    assert capfd.readouterr() == ("", "")


def test_a_part_is_the_same_as_that_part_of_the_whole(tmp_path: Path, song: Song) -> None:
    long = np.tile(song, 14)  # over three minutes: far enough for a seek
    for name in ("a.flac", "a.ogg"):
        with soundfile.SoundFile(tmp_path / name, "w", RATE_HZ, 1) as sound:
            for start in range(0, 150 * RATE_HZ, 10 * RATE_HZ):  # libsndfile fails on minutes of ogg in one call
                sound.write(long[start : start + 10 * RATE_HZ])
        audio = AudioFile(tmp_path / name)
        whole = np.concatenate([block.samples for block in audio.blocks()])
        for start_s in (0.0, 1.5, 130.25, 149.0):
            part = audio.read(start_s, start_s + 2.0)
            expected = whole[round(start_s * RATE_HZ) : round((start_s + 2.0) * RATE_HZ)]
            np.testing.assert_allclose(part, expected, rtol=0, atol=1e-6, err_msg=f"{name} {start_s}")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_bytes(np.random.default_rng(2).bytes(5000)), "is not audio that can be read"),
        (lambda path: path.write_text("I am no recording"), "is not audio that can be read"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, make: Callable[[Path], object], said: str) -> None:
    path = tmp_path / "a.mp3"
    make(path)
    with pytest.raises(DecodeError, match=said) as caught:
        AudioFile(path)
    assert caught.value.path == path
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("mp3_vbr_without_xing_24s.mp3", 24.0),
        ("mp3_two_joined_20s.mp3", 20.0),
        ("ogg_chained_20s.ogg", 20.0),
        ("flac_unknown_length_10s_16k.flac", 10.0),
        ("flac_unknown_length_2s_8k.flac", 2.0),
        ("wav_data_size_44_10s.wav", 10.0),
        ("wav_data_size_half_10s.wav", 10.0),
        ("attacks/chained.ogg", 4.0),
    ],
)
def test_the_cases_that_were_cut_short(shared_cases: Path, name: str, seconds: float) -> None:
    audio = AudioFile(shared_cases / name)
    frames = sum(len(block.samples) for block in audio.blocks())
    assert frames / audio.rate_hz == pytest.approx(seconds, abs=0.1)


@pytest.mark.parametrize("name", ["attacks/rate1.wav", "attacks/rate_over_2e31.wav", "not_audio_random.wav"])
def test_the_cases_that_brought_a_run_down(shared_cases: Path, name: str) -> None:
    with pytest.raises(DecodeError, match=r"damaged|is not audio"):
        AudioFile(shared_cases / name)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize(
    ("name", "dtype", "zero", "full"),
    [
        ("u8", np.uint8, 128, 128.0),
        ("s16", np.int16, 0, 2.0**15),
        ("s32", np.int32, 0, 2.0**31),
        ("s64", np.int64, 0, 2.0**63),
        ("flt", np.float32, 0, 1.0),
        ("dbl", np.float64, 0, 1.0),
    ],
)
@pytest.mark.parametrize("planar", [True, False])
def test_samples_of_every_format(name, dtype, zero, full, channels, planar):
    rng = np.random.default_rng(channels)
    values = rng.uniform(-1.0, 1.0, (1001, channels)) * full + zero
    values = values.astype(dtype)
    layout = {1: "mono", 2: "stereo", 3: "2.1"}[channels]
    frame = av.AudioFrame(name + "p" * planar, layout, len(values))
    planes = values.T if planar else values.reshape(1, -1)
    for plane, part in zip(frame.planes, planes, strict=True):
        # A plane is as long as it is aligned.
        plane.update(part.tobytes().ljust(plane.buffer_size, b"\0"))
    expected = (values.astype(np.float64) - zero) / full
    found = samples_of(frame)
    assert (found.dtype, found.shape) == (np.float32, (1001, channels))
    np.testing.assert_array_equal(found, expected.astype(np.float32))


@pytest.mark.parametrize(
    ("suffix", "codec"), [("mp3", "libmp3lame"), ("mp2", "mp2"), ("ac3", "ac3"), ("wv", "wavpack")]
)
@pytest.mark.parametrize("share", [0.02, 0.2])
def test_behind_a_hole_in_a_bare_stream_sounds_are_at_their_time(
    tmp_path: Path, suffix: str, codec: str, share: float
) -> None:
    """As a broken card leaves it: zeros in the middle; one beep a second says where the time went."""
    times = np.arange(20 * RATE_HZ) / RATE_HZ
    beeps = (0.5 * np.sin(2 * np.pi * 2000 * times) * (times % 1 < 0.1)).astype(np.float32)
    path = encoded(tmp_path / f"a.{suffix}", beeps, codec, rate_hz=RATE_HZ)
    data = bytearray(path.read_bytes())
    begin, end = int(0.4 * len(data)), int((0.4 + share) * len(data))
    data[begin:end] = bytes(end - begin)
    path.write_bytes(data)
    samples, warnings = decoded(path)
    assert "in the middle" in warnings[-1]
    last = samples[round(18.5 * RATE_HZ) : round(19.5 * RATE_HZ)]
    loud = np.flatnonzero(np.abs(last) > 0.2)
    # A packet is up to 48 ms.
    assert 18.5 + loud[0] / RATE_HZ == pytest.approx(19.0, abs=0.1)


@pytest.mark.parametrize("channels", [7, 8, 9, 16])
def test_eight_channels_and_more_are_all_there(tmp_path: Path, song: Song, channels: int) -> None:
    """Vorbis has each channel in a plane of its own. libsndfile's decoder is the reference."""
    path = tmp_path / "array.ogg"
    rolled = np.stack([np.roll(song[: 2 * RATE_HZ], 3001 * number) for number in range(channels)], axis=1)
    soundfile.write(path, rolled, RATE_HZ, subtype="VORBIS")
    expected = soundfile.read(path, dtype="float32")[0]
    found = [
        np.concatenate([block.samples for block in AudioFile(path, channel=number).blocks()])
        for number in range(channels)
    ]
    # Up to eight channels FFmpeg has them in another order than Vorbis.
    for samples in found:
        assert min(np.abs(samples[: len(expected)] - other).max() for other in expected.T) < 1e-4
    assert len({samples.tobytes() for samples in found}) == channels
