from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from birdwatch.audio.file import AudioFile
from birdwatch.errors import DecodeError


def read(path, block_frames=4096):
    blocks = list(AudioFile(path).blocks(block_frames))
    for before, after in pairwise(blocks):
        assert after.start_frame == before.end_frame
    return np.concatenate([block.samples for block in blocks])


@pytest.mark.parametrize(
    ("name", "subtype", "atol"), [("a.wav", "PCM_16", 4e-5), ("a.flac", "PCM_24", 2e-7), ("a.aiff", "PCM_16", 4e-5)]
)
def test_lossless_files_come_back(tmp_path, song, name, subtype, atol):
    soundfile.write(tmp_path / name, song, 32000, subtype=subtype)
    np.testing.assert_allclose(read(tmp_path / name), song, rtol=0, atol=atol)


def test_channels_are_mixed_by_their_mean(tmp_path, song):
    soundfile.write(tmp_path / "a.wav", np.stack([song, -song / 2], axis=1), 48000, subtype="FLOAT")
    audio = AudioFile(tmp_path / "a.wav")
    assert (audio.rate_hz, audio.channels, audio.frames) == (48000, 2, len(song))
    np.testing.assert_allclose(read(tmp_path / "a.wav"), song / 4, rtol=0, atol=1e-6)


def test_integers_are_scaled_by_their_full_range(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([-32768, 16384, 32767], np.int16), 32000)
    np.testing.assert_array_equal(read(tmp_path / "a.wav"), np.float32([-1.0, 0.5, 32767 / 32768]))


def test_bad_files_say_what_is_wrong(tmp_path):
    (tmp_path / "text.wav").write_text("I am no recording")
    (tmp_path / "empty.wav").write_bytes(b"")
    soundfile.write(tmp_path / "header.wav", np.zeros(0, np.float32), 32000)
    for name, said in {
        "missing.wav": "no such file",
        ".": "is a folder",
        "text.wav": "is not audio that can be read",
        "empty.wav": r"is empty \(0 bytes\)",
        "header.wav": "holds no audio",
    }.items():
        with pytest.raises(DecodeError, match=said):
            read(tmp_path / name)


@pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3", "opus"])
def test_a_recording_cut_off_in_the_middle_gives_its_first_half(tmp_path, song, suffix):
    path = tmp_path / f"a.{suffix}"
    kind = {"format": "OGG", "subtype": "OPUS"} if suffix == "opus" else {}
    rate_hz = 48000 if suffix == "opus" else 32000
    soundfile.write(path, song, rate_hz, **kind)
    whole = read(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    audio = AudioFile(path)
    half = np.concatenate([block.samples for block in audio.blocks()])
    assert 0.3 < len(half) / len(whole) < 0.7
    same = len(half) - 4096  # a packet's end may be decoded otherwise where the next one is missing
    np.testing.assert_allclose(half[:same], whole[:same], rtol=0, atol=1e-3)
    # An ogg file does not say how long it was meant to be, so what is missing is unknown.
    assert len(audio.warnings) == (suffix in ("flac", "mp3"))


def test_one_channel_is_decoded_alone(tmp_path, song):
    soundfile.write(tmp_path / "a.wav", np.stack([song, -song / 2], axis=1), 48000, subtype="FLOAT")
    audio = AudioFile(tmp_path / "a.wav", channel=1)
    np.testing.assert_array_equal(next(audio.blocks(1000)).samples, -song[:1000] / 2)
    np.testing.assert_array_equal(audio.read(1.0, 1.5), -song[48000:72000] / 2)
    with pytest.raises(DecodeError, match="has no channel 2, only 0, 1"):
        AudioFile(tmp_path / "a.wav", channel=2)


def test_reading_past_the_end_gives_what_is_there(tmp_path, song):
    soundfile.write(tmp_path / "a.flac", song, 32000)
    assert len(AudioFile(tmp_path / "a.flac").read(12.5, 20)) == 16000
    assert len(AudioFile(tmp_path / "a.flac").read(100, 105)) == 0


def whole_of(audio: AudioFile) -> NDArray[np.float32]:
    return np.concatenate([block.samples for block in audio.blocks()])


@pytest.mark.parametrize(
    ("suffix", "subtype"), [("wav", "PCM_16"), ("wav", "FLOAT"), ("aiff", "PCM_24"), ("flac", None)]
)
@pytest.mark.parametrize("channel", [None, 1])
def test_a_stretch_holds_the_samples_of_the_whole(
    tmp_path: Path, suffix: str, subtype: str | None, channel: int | None
) -> None:
    # More than two minutes: closer to the start a flac file is decoded from there.
    samples = np.random.default_rng(4).uniform(-0.5, 0.5, (8000 * 150 + 17, 2)).astype(np.float32)
    soundfile.write(tmp_path / f"a.{suffix}", samples, 8000, subtype=subtype)
    audio = AudioFile(tmp_path / f"a.{suffix}", channel=channel)
    assert audio.exact_frames == len(samples)
    whole = whole_of(audio)
    for first, last in [(0, 1), (0, len(samples)), (7, 70001), (8000 * 140 + 3, 8000 * 149), (1000000, len(samples))]:
        blocks = list(audio.stretch(first, last))
        assert blocks[0].start_frame == first
        np.testing.assert_array_equal(np.concatenate([block.samples for block in blocks]), whole[first:last])
    assert audio.warnings == []


@pytest.mark.parametrize("suffix", ["ogg", "mp3", "au_adpcm"])
def test_what_cannot_be_read_from_the_middle_has_no_exact_frames(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    samples = np.random.default_rng(4).uniform(-0.5, 0.5, 32000).astype(np.float32)
    if suffix == "au_adpcm":
        soundfile.write(path, samples, 32000, format="AU", subtype="G721_32")
    else:
        soundfile.write(path, samples, 32000)
    assert AudioFile(path).exact_frames == 0


def test_a_stretch_of_a_damaged_flac_file_is_refused(tmp_path: Path) -> None:
    samples = np.random.default_rng(4).uniform(-0.5, 0.5, 8000 * 150).astype(np.float32)
    path = tmp_path / "a.flac"
    soundfile.write(path, samples, 8000)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 20000] = bytes(20000)
    path.write_bytes(data)
    audio = AudioFile(path)
    assert audio.exact_frames == len(samples)
    for first, last in [(0, len(samples)), (8000 * 60, 8000 * 90)]:
        with pytest.raises(DecodeError, match="does not hold from"):
            list(audio.stretch(first, last))
    np.testing.assert_array_equal(
        np.concatenate([block.samples for block in audio.stretch(8000 * 130, 8000 * 140)]),
        AudioFile(path).read(130, 140),
    )


@pytest.mark.parametrize("frames", [8000 * 3, 8000 * 5])
def test_a_flac_file_of_another_length_than_it_claims_is_refused(tmp_path: Path, frames: int) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, np.random.default_rng(4).uniform(-0.5, 0.5, 8000 * 4).astype(np.float32), 8000)
    data = bytearray(path.read_bytes())
    # STREAMINFO: 36 bits of total samples, the lowest 32 of them at byte 22 of the file.
    assert int.from_bytes(data[22:26], "big") == 8000 * 4
    data[22:26] = frames.to_bytes(4, "big")
    path.write_bytes(data)
    audio = AudioFile(path)
    assert audio.exact_frames == frames
    with pytest.raises(DecodeError, match="does not hold from"):
        list(audio.stretch(8000, frames))
